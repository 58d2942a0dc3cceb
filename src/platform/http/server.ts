import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { asError, PilotlightError } from '../../core/errors.ts';
import { BodyDeadlines } from './body-deadlines.ts';
import { answerBrokenRequest } from './broken-request.ts';

export interface ServerOptions {
  readonly host: string;
  /** 0 = any free one. */
  readonly port: number;
  /** The setting that the port came from, named when it is taken. */
  readonly portSetting: string;
  /** Longest time for a request's headers; then 408. */
  readonly headersTimeoutMs?: number;
  /** Longest time for a request's body, unless the handler lifts it (`liftBodyDeadline`); then 408. */
  readonly requestTimeoutMs?: number;
}

export interface HttpServer {
  readonly host: string;
  readonly port: number;
  /** "http://127.0.0.1:8080" */
  readonly url: string;
  /** Takes no new connections, lets requests finish for up to `graceMs`, then cuts the rest. Repeating it does nothing. */
  close(graceMs: number): Promise<void>;
}

const DEFAULT_HEADERS_TIMEOUT_MS = 15_000;
const DEFAULT_REQUEST_TIMEOUT_MS = 60_000;
/** How exactly both are kept. */
const TIMEOUT_CHECK_EVERY_MS = 1_000;
/** Longer than the idle time of usual load balancers (60 s), so that these close first and never meet a dead connection. */
const KEEP_ALIVE_TIMEOUT_MS = 65_000;
const IDLE_SWEEP_EVERY_MS = 100;

/** Starts listening. Throws `config_invalid` with the remedy when the address cannot be had. */
export async function startServer(handler: RequestListener, options: ServerOptions): Promise<HttpServer> {
  const server = createServer({
    headersTimeout: options.headersTimeoutMs ?? DEFAULT_HEADERS_TIMEOUT_MS,
    requestTimeout: 0,
    connectionsCheckingInterval: TIMEOUT_CHECK_EVERY_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
  });
  const deadlines = new BodyDeadlines(
    options.requestTimeoutMs ?? DEFAULT_REQUEST_TIMEOUT_MS,
    TIMEOUT_CHECK_EVERY_MS,
    (req) => server.emit('clientError', bodyTooLate(), req.socket),
  );
  server.on('close', () => deadlines.close());
  const handleInTime = (req: IncomingMessage, res: ServerResponse) => {
    deadlines.watch(req);
    handler(req, res);
  };
  server.on('request', handleInTime);
  // The handler says "continue" itself once it has room for the body.
  server.on('checkContinue', handleInTime);
  server.on('clientError', answerBrokenRequest);
  await listening(server, options);
  const { port } = server.address() as AddressInfo;
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  return { host: options.host, port, url: `http://${host}:${port}`, close: (graceMs) => close(server, graceMs) };
}

/** As Node names it. */
function bodyTooLate(): NodeJS.ErrnoException {
  return Object.assign(new Error('Request timeout'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' });
}

function listening(server: Server, { host, port, portSetting }: ServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(cannotListen(error, `${host}:${port}`, portSetting)));
    server.listen({ host, port }, resolve);
  });
}

function cannotListen(error: NodeJS.ErrnoException, address: string, portSetting: string): PilotlightError {
  const problems: Partial<Record<string, string>> = {
    EADDRINUSE: `another program listens on ${address}; stop it or set ${portSetting} to a free port (0 = any)`,
    EACCES: `listening on ${address} needs more rights; set ${portSetting} to a port above 1023`,
    EADDRNOTAVAIL: `${address} is not an address of this machine`,
  };
  const problem = problems[error.code ?? ''] ?? `cannot listen on ${address} (${asError(error).message})`;
  return new PilotlightError('config_invalid', `${portSetting}: ${problem}.`, { param: portSetting, cause: error });
}

function close(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    // Connections become idle one by one as their last answers end.
    const sweep = setInterval(() => server.closeIdleConnections(), IDLE_SWEEP_EVERY_MS);
    const cut = setTimeout(() => server.closeAllConnections(), graceMs);
    // Its only error is that the server is closed already.
    server.close(() => {
      clearInterval(sweep);
      clearTimeout(cut);
      resolve();
    });
  });
}
