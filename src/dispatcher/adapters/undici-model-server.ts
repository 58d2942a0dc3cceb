import { type Dispatcher, Pool } from 'undici';
import type { ModelServer, TransportFailure, UpstreamCall, UpstreamReceiver, UpstreamRequest } from '../ports.ts';

export interface UndiciModelServerOptions {
  /** Slots bound the calls of an endpoint; this only bounds a mistake. Slot cap (256) and a few for probes. */
  readonly connectionsPerEndpoint?: number;
  readonly connectTimeoutMs?: number;
  /** uvicorn, vLLM's server, closes idle connections after 5 s: stay below, or a call meets a closing connection. */
  readonly keepAliveMs?: number;
  /** Page that tells whether the server lives. A server without one answers 404, which is life enough. */
  readonly healthPath?: string;
}

/**
 * Model servers over HTTP/1.1 with undici: one Pool an endpoint, keep-alive, one call a connection at a time.
 * `Pool.dispatch` for every call: no stream objects between the socket and the receiver (see docs/dispatch.md, "Cost").
 */
export class UndiciModelServer implements ModelServer {
  readonly #pools = new Map<string, Pool>();
  readonly #options: Required<UndiciModelServerOptions>;
  #closed = false;

  constructor(options: UndiciModelServerOptions = {}) {
    this.#options = {
      connectionsPerEndpoint: 264,
      connectTimeoutMs: 3_000,
      keepAliveMs: 4_000,
      healthPath: '/health',
      ...options,
    };
  }

  open(request: UpstreamRequest, receiver: UpstreamReceiver): UpstreamCall {
    const call = new DispatchedCall(receiver);
    if (this.#closed) {
      queueMicrotask(() => call.refuse());
      return call;
    }
    this.#poolOf(request.endpointUrl).dispatch(
      { method: 'POST', path: request.path, body: request.body, headers: headersOf(request) },
      call,
    );
    return call;
  }

  async probe(endpointUrl: string, timeoutMs: number): Promise<boolean> {
    if (this.#closed) return false;
    try {
      const signal = AbortSignal.timeout(timeoutMs);
      const path = this.#options.healthPath;
      const answer = await this.#poolOf(endpointUrl).request({ method: 'GET', path, signal });
      await answer.body.dump();
      return answer.statusCode < 500;
    } catch {
      return false;
    }
  }

  forget(endpointUrl: string): void {
    const pool = this.#pools.get(endpointUrl);
    this.#pools.delete(endpointUrl);
    // Closing waits for the pool's calls; an error in them is told to their receivers.
    pool?.close().catch(() => undefined);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const pools = [...this.#pools.values()];
    this.#pools.clear();
    await Promise.all(pools.map((pool) => pool.destroy()));
  }

  #poolOf(endpointUrl: string): Pool {
    const known = this.#pools.get(endpointUrl);
    if (known) return known;
    const { connectionsPerEndpoint, connectTimeoutMs, keepAliveMs } = this.#options;
    const pool = new Pool(endpointUrl, {
      connections: connectionsPerEndpoint,
      pipelining: 1,
      keepAliveTimeout: keepAliveMs,
      keepAliveMaxTimeout: keepAliveMs,
      connect: { timeout: connectTimeoutMs },
      allowH2: false,
      // The attempt watches silence and length of a call itself.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    this.#pools.set(endpointUrl, pool);
    return pool;
  }
}

function headersOf(request: UpstreamRequest): Record<string, string> {
  return {
    ...request.headers,
    'content-type': 'application/json',
    accept: request.stream ? 'text/event-stream' : 'application/json',
  };
}

const ABORTED = new Error('The call was stopped.');

/** Joins one undici request to one receiver; after `abort` the receiver is left alone. */
class DispatchedCall implements UpstreamCall, Dispatcher.DispatchHandler {
  #receiver: UpstreamReceiver | null;
  #controller: Dispatcher.DispatchController | null = null;
  #connected = false;
  #paused = false;

  constructor(receiver: UpstreamReceiver) {
    this.#receiver = receiver;
  }

  /** Nothing is sent any more. */
  refuse(): void {
    const receiver = this.#receiver;
    this.#receiver = null;
    receiver?.onFailure({ kind: 'unreachable', message: 'No calls are sent any more: this process shuts down.' });
  }

  pause(): void {
    this.#paused = true;
    this.#controller?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#controller?.resume();
  }

  abort(): void {
    if (!this.#receiver) return;
    this.#receiver = null;
    this.#controller?.abort(ABORTED);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    this.#connected = true;
    if (!this.#receiver) controller.abort(ABORTED);
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: RawHeaders): void {
    if (status >= 200) this.#receiver?.onHead(status, firstValues(headers));
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#receiver?.onData(chunk);
    if (this.#paused) controller.pause();
  }

  onResponseEnd(): void {
    const receiver = this.#receiver;
    this.#receiver = null;
    receiver?.onEnd();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    const receiver = this.#receiver;
    this.#receiver = null;
    receiver?.onFailure(transportFailure(error, this.#connected));
  }
}

type RawHeaders = Readonly<Record<string, string | string[] | undefined>>;

function firstValues(headers: RawHeaders): Record<string, string> {
  const values: Record<string, string> = {};
  for (const name in headers) {
    const value = headers[name];
    const first = Array.isArray(value) ? value[0] : value;
    if (first !== undefined) values[name] = first;
  }
  return values;
}

/** undici's HTTPParserError carries codes that start with HPE_. An invalid argument is no fault of the server's address. */
function transportFailure(error: Error, connected: boolean): TransportFailure {
  const code = codeOf(error);
  if (code === 'UND_ERR_INVALID_ARG')
    return { kind: 'protocol', message: `The call cannot be sent (${error.message}).` };
  if (!connected) return { kind: 'unreachable', message: `The model server could not be reached (${code}).` };
  if (code.startsWith('HPE_') || error.name === 'HTTPParserError') {
    return { kind: 'protocol', message: `The model server did not speak HTTP (${code}).` };
  }
  return { kind: 'reset', message: `The connection to the model server broke (${code}).` };
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}
