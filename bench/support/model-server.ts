/**
 * A model server that does no work: every chat is answered at once with the same bytes. Pilotlight starts it as a
 * replica of a pool; the benches find it by its address, which it writes to a file when it listens.
 *
 * Arguments: --port=N --announce=FILE --events=N --delay-ms=N (a plain answer takes so long, half to one and a half times)
 */
import { writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { parseArgs } from 'node:util';
import { PLAIN_ANSWER, streamEvents } from './chat.ts';
import { ownCpu } from './child.ts';

/** What GET /stamps answers: wall clock, milliseconds with fraction. */
export interface Stamps {
  /** When the process began. */
  readonly startedAtEpochMs: number;
  /** When it could answer. */
  readonly readyAtEpochMs: number;
  /** When its first call had come in whole; 0 = none yet. */
  readonly firstCallAtEpochMs: number;
}

const { values: flags } = parseArgs({
  options: {
    port: { type: 'string' },
    announce: { type: 'string' },
    events: { type: 'string', default: '50' },
    'delay-ms': { type: 'string', default: '0' },
  },
});
const port = Number(flags.port);
const delayMs = Number(flags['delay-ms']);
const PLAIN = Buffer.from(PLAIN_ANSWER);
const PLAIN_HEAD = { 'content-type': 'application/json', 'content-length': String(PLAIN.length) };
const STREAM_HEAD = { 'content-type': 'text/event-stream; charset=utf-8' };
const EVENTS = streamEvents(Number(flags.events)).map((event) => Buffer.from(event));
const IS_STREAM = /"stream":\s*true/;
let running = 0;
let readyAtEpochMs = 0;
let firstCallAtEpochMs = 0;

function nowEpochMs(): number {
  return performance.timeOrigin + performance.now();
}

/** One event for each turn of the event loop, as a decoding engine sends them. */
function stream(res: ServerResponse, index: number): void {
  const event = EVENTS[index];
  if (event === undefined) {
    res.end();
    return;
  }
  res.write(event);
  setImmediate(stream, res, index + 1);
}

function answer(body: string, res: ServerResponse): void {
  firstCallAtEpochMs ||= nowEpochMs();
  if (IS_STREAM.test(body)) {
    res.writeHead(200, STREAM_HEAD);
    stream(res, 0);
  } else if (delayMs > 0) {
    setTimeout(plain, delayMs * (0.5 + Math.random()), res);
  } else {
    plain(res);
  }
}

function plain(res: ServerResponse): void {
  res.writeHead(200, PLAIN_HEAD);
  res.end(PLAIN);
}

function chat(req: IncomingMessage, res: ServerResponse): void {
  running += 1;
  res.once('close', () => {
    running -= 1;
  });
  let body = '';
  req.setEncoding('latin1');
  req.on('data', (part: string) => {
    body += part;
  });
  req.on('end', () => answer(body, res));
}

const METRICS = (): string =>
  [
    `vllm:num_requests_running{model_name="bench"} ${running}`,
    'vllm:num_requests_waiting{model_name="bench"} 0',
    'vllm:kv_cache_usage_perc{model_name="bench"} 0.1',
    '',
  ].join('\n');

function stamps(): Stamps {
  return { startedAtEpochMs: performance.timeOrigin, readyAtEpochMs, firstCallAtEpochMs };
}

const PAGES: Readonly<Record<string, () => string>> = {
  '/health': () => '',
  '/metrics': METRICS,
  '/cpu': () => JSON.stringify(ownCpu()),
  '/stamps': () => JSON.stringify(stamps()),
};

const server = createServer((req, res) => {
  if (req.method === 'POST') chat(req, res);
  else res.writeHead(200, { 'content-type': 'text/plain' }).end(PAGES[req.url ?? '']?.() ?? '');
});
server.keepAliveTimeout = 60_000;
server.listen(port, '127.0.0.1', () => {
  readyAtEpochMs = nowEpochMs();
  if (flags.announce !== undefined) writeFileSync(flags.announce, `http://127.0.0.1:${port}`);
});
process.once('SIGTERM', () => process.exit(0));
