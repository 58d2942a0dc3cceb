import type { Dispatcher } from 'undici';
import { Pool, ProxyAgent } from 'undici';
import type { Clock } from '../../core/clock.ts';
import { type KubeApi, KubeApiError, type KubeRequest, type PatchType } from '../../core/kubernetes.ts';
import type { Logger } from '../../core/logger.ts';
import type { Access, Credentials } from './credentials.ts';
import { type Deadline, openDeadline } from './deadline.ts';
import { type CredentialOptions, findCredentials } from './find-credentials.ts';
import type { KubernetesMetrics } from './metrics.ts';
import { labelsOf } from './request-labels.ts';
import { errorOfAnswer } from './status-error.ts';

export interface KubeWatchRequest {
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  /** Ends the watch, also in the middle of its stream. */
  readonly signal: AbortSignal;
  /** Until its first byte; after that silence is the caller's to judge. */
  readonly timeoutMs?: number;
}

/** An API server that can also be watched. */
export interface WatchableApi extends KubeApi {
  /** The bytes of a watch as they come. Throws a KubeApiError when it is refused or breaks. */
  watch(request: KubeWatchRequest): Promise<AsyncIterable<Uint8Array>>;
}

export interface KubeConnection extends WatchableApi {
  readonly server: string;
  /** Where this process runs: the setting, else the pod's, else the context's, else "default". */
  readonly namespace: string;
  /** For people: server and where the credentials come from. */
  readonly describe: string;
  /** Ends every request and watch. */
  close(): Promise<void>;
}

export interface KubeApiOptions
  extends Pick<CredentialOptions, 'kubeconfig' | 'context' | 'env' | 'homeFolder' | 'serviceAccountFolder'> {
  /** Setting `kubernetes.namespace`. */
  readonly namespace: string | null;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics?: KubernetesMetrics;
  /** Sent as User-Agent: it is how the server's audit log and managedFields name this program. */
  readonly userAgent?: string;
  /** Of one answer. Default 64 MiB, some 5,000 pods; longer lists are read in pages. */
  readonly maxResponseBytes?: number;
}

const DEFAULT_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 5_000;
const MAX_RESPONSE_BYTES = 64 * 1_048_576;
/** Requests in flight at once; the API server's own limit per client is far above it, more wait their turn. */
const REQUEST_CONNECTIONS = 16;
/** Each watch holds a connection: resources × namespaces. This only bounds a mistake. */
const WATCH_CONNECTIONS = 4_096;
/** kube-apiserver closes idle connections after 90 s, load balancers after 60: stay below. */
const KEEP_ALIVE_MS = 50_000;
/** Finds a dead peer; the client-go value. */
const TCP_KEEP_ALIVE_MS = 30_000;

const CONTENT_TYPES: Record<PatchType, string> = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
};

/** Finds credentials and makes the client; nothing is sent yet. Throws an Error that says what to set. */
export async function openKubeApi(options: KubeApiOptions): Promise<KubeConnection> {
  const credentials = await findCredentials({ ...options, monotonicMs: () => options.clock.monotonicMs() });
  return new HttpKubeApi(credentials, options);
}

interface Answer {
  readonly status: number;
  readonly headers: Dispatcher.ResponseData['headers'];
  readonly body: Dispatcher.ResponseData['body'];
}

interface Connections {
  readonly key: string;
  readonly requests: Dispatcher;
  readonly watches: Dispatcher;
}

class HttpKubeApi implements KubeConnection {
  readonly server: string;
  readonly namespace: string;
  readonly describe: string;
  readonly #credentials: Credentials;
  readonly #options: KubeApiOptions;
  readonly #basePath: string;
  #connections: Connections | null = null;
  #closed = false;

  constructor(credentials: Credentials, options: KubeApiOptions) {
    this.#credentials = credentials;
    this.#options = options;
    this.server = credentials.server;
    this.namespace = options.namespace ?? credentials.namespace ?? 'default';
    this.describe = `${credentials.server} by ${credentials.describe}`;
    // Some servers sit behind a path, such as https://HOST/k8s/clusters/ID.
    this.#basePath = new URL(credentials.server).pathname.replace(/\/+$/, '');
  }

  async request(request: KubeRequest): Promise<unknown> {
    const labels = labelsOf(request.method, request.path);
    const deadline = openDeadline(request.timeoutMs ?? DEFAULT_TIMEOUT_MS, request.signal);
    return await this.#measured(labels, async () => {
      const doing = `${request.method} ${request.path}`;
      try {
        const answer = await this.#sendAuthorised(request, deadline, doing);
        const body = await this.#readBody(answer, doing);
        if (answer.status >= 200 && answer.status < 300) return body;
        const retryAfter = headerOf(answer, 'retry-after');
        throw errorOfAnswer(doing, { status: answer.status, body, retryAfter }, this.#options.clock.epochMs());
      } catch (error) {
        throw this.#asApiError(error, doing, deadline);
      } finally {
        deadline.close();
      }
    });
  }

  async watch({ path, query, signal, timeoutMs }: KubeWatchRequest): Promise<AsyncIterable<Uint8Array>> {
    const doing = `watch ${path}`;
    const deadline = openDeadline(timeoutMs ?? DEFAULT_TIMEOUT_MS, signal);
    return await this.#measured(labelsOf('GET', path, true), async () => {
      try {
        const request: KubeRequest = { method: 'GET', path, query: { ...query, watch: 'true' } };
        const answer = await this.#sendAuthorised(request, deadline, doing, 'watches');
        if (answer.status === 200) {
          deadline.lift();
          return this.#stream(answer, doing, deadline);
        }
        const body = await this.#readBody(answer, doing);
        const retryAfter = headerOf(answer, 'retry-after');
        throw errorOfAnswer(doing, { status: answer.status, body, retryAfter }, this.#options.clock.epochMs());
      } catch (error) {
        const told = this.#asApiError(error, doing, deadline);
        deadline.close();
        throw told;
      }
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    const connections = this.#connections;
    this.#connections = null;
    await Promise.all([connections?.requests.destroy(), connections?.watches.destroy()]);
  }

  async *#stream(answer: Answer, doing: string, deadline: Deadline): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of answer.body) yield chunk as Uint8Array;
    } catch (error) {
      throw this.#asApiError(error, doing, deadline);
    } finally {
      deadline.close();
    }
  }

  /** A refusal of the credentials is answered by reading them again, once: tokens rotate. */
  async #sendAuthorised(
    request: KubeRequest,
    deadline: Deadline,
    doing: string,
    by: 'requests' | 'watches' = 'requests',
  ): Promise<Answer> {
    const first = await this.#send(request, deadline, by);
    if (first.status !== 401) return first;
    await first.body.dump();
    this.#options.log.info({ doing }, 'kubernetes.credentials_refused');
    this.#credentials.renew();
    return await this.#send(request, deadline, by);
  }

  async #send(request: KubeRequest, deadline: Deadline, by: 'requests' | 'watches'): Promise<Answer> {
    const access = await deadline.race(this.#credentials.current());
    const dispatcher = this.#connect(access)[by];
    const query = new URLSearchParams(request.query).toString();
    const body = request.body === undefined ? null : JSON.stringify(request.body);
    const send = () =>
      dispatcher.request({
        origin: new URL(this.server).origin,
        path: `${this.#basePath}${request.path}${query === '' ? '' : `?${query}`}`,
        method: request.method,
        headers: {
          ...access.headers,
          accept: 'application/json',
          'user-agent': this.#options.userAgent ?? 'pilotlight',
          ...(body === null ? {} : { 'content-type': contentTypeOf(request) }),
        },
        body,
        signal: deadline.signal,
      });
    const {
      statusCode,
      headers,
      body: stream,
    } = await send().catch((error: unknown) => {
      // A kept connection that the server closed just now: a read may safely be sent again.
      if (request.method === 'GET' && isLostConnection(error) && !deadline.signal.aborted) return send();
      throw error;
    });
    return { status: statusCode, headers, body: stream };
  }

  /** Connections prove who we are (client certificates), so other TLS material means other connections. */
  #connect({ tls, proxyUrl }: Access): Connections {
    if (this.#closed) throw new Error('the connection to the API server was closed');
    const key = JSON.stringify([tls, proxyUrl]);
    if (this.#connections?.key === key) return this.#connections;
    const old = this.#connections;
    const options = (connections: number) => ({
      connections,
      pipelining: 1,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
      allowH2: false,
      // Deadlines are those of each request.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    const connect = { ...tls, timeout: CONNECT_TIMEOUT_MS, keepAlive: true, keepAliveInitialDelay: TCP_KEEP_ALIVE_MS };
    const open = (connections: number): Dispatcher =>
      proxyUrl === null
        ? new Pool(new URL(this.server).origin, { ...options(connections), connect })
        : new ProxyAgent({ ...options(connections), uri: proxyUrl, requestTls: connect });
    this.#connections = { key, requests: open(REQUEST_CONNECTIONS), watches: open(WATCH_CONNECTIONS) };
    // What runs on the old ones may end there.
    for (const dispatcher of old ? [old.requests, old.watches] : []) dispatcher.close().catch(() => undefined);
    return this.#connections;
  }

  async #readBody(answer: Answer, doing: string): Promise<unknown> {
    const limit = this.#options.maxResponseBytes ?? MAX_RESPONSE_BYTES;
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of answer.body) {
      bytes += (chunk as Buffer).length;
      if (bytes > limit) {
        throw new KubeApiError(`${doing}: the answer is longer than ${limit} bytes; ask for it in pages (limit)`, {
          status: answer.status,
          reason: 'ResponseTooLarge',
        });
      }
      chunks.push(chunk as Buffer);
    }
    const text = Buffer.concat(chunks).toString('utf8');
    if (!headerOf(answer, 'content-type')?.includes('json')) return text;
    try {
      return JSON.parse(text) as unknown;
    } catch (error) {
      throw new KubeApiError(
        `${doing}: the answer is no JSON`,
        { status: answer.status, reason: 'BadAnswer' },
        { cause: error },
      );
    }
  }

  #asApiError(error: unknown, doing: string, deadline: Deadline): KubeApiError {
    if (error instanceof KubeApiError) return error;
    const { code } = error as { code?: string };
    // Other certificates may be in the files by now.
    if (code !== undefined && /CERT|TLS|SSL/.test(code)) this.#credentials.renew();
    const why = deadline.isOver
      ? `no answer within ${deadline.timeoutMs} ms`
      : deadline.isAborted
        ? 'aborted'
        : reachOf(error);
    return new KubeApiError(`${doing}: ${this.server}: ${why}`, { status: 0 }, { cause: error });
  }

  async #measured<T>(labels: { verb: string; resource: string }, work: () => Promise<T>): Promise<T> {
    const { metrics, clock } = this.#options;
    const startMs = clock.monotonicMs();
    let code = 200;
    try {
      return await work();
    } catch (error) {
      code = error instanceof KubeApiError ? error.status : 0;
      throw error;
    } finally {
      metrics?.requestsTotal.inc({ ...labels, code });
      metrics?.requestDurationSeconds.observe(labels, (clock.monotonicMs() - startMs) / 1_000);
    }
  }
}

function contentTypeOf({ method, patch }: KubeRequest): string {
  return method === 'PATCH' ? CONTENT_TYPES[patch ?? 'merge'] : 'application/json';
}

function headerOf({ headers }: Answer, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function isLostConnection(error: unknown): boolean {
  return ['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'].includes((error as { code?: string }).code ?? '');
}

function reachOf(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return [code, message].filter((part) => part !== undefined && part !== '').join(': ') || 'not reached';
}
