import { createParser } from 'eventsource-parser';
import { createWriteStream, openAsBlob } from 'node:fs';
import { basename } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Agent, type Dispatcher, FormData } from 'undici';
import { asError } from '../../../core/errors.ts';

export interface ApiCall {
  readonly origin: string;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON, or a form. */
  readonly body?: unknown;
}

/** A call whose body, or whose answer, is a file. */
export interface FileCall {
  readonly origin: string;
  readonly path: string;
  readonly key: string;
  readonly file: string;
}

/** `lost`: no answer, or only a part of one; `wasSent` = the server may have acted on it. */
export type ApiAnswer =
  | { readonly kind: 'answer'; readonly status: number; readonly retryAfterMs: number | null; readonly text: string }
  | { readonly kind: 'lost'; readonly why: string; readonly wasSent: boolean };

export interface StreamListener {
  /** A comment line, without its colon. */
  comment(text: string): void;
  data(text: string): void;
}

/** `ended`: a whole stream of events. `answer`: something else, such as a refusal. */
export type StreamEnd = ApiAnswer | { readonly kind: 'ended'; readonly queueMs: number | null };

const ANSWER_TIMEOUT_MS = 30_000;
/** Of a file of gigabytes, on a slow disk. */
const FILE_TIMEOUT_MS = 10 * 60_000;
/** A stream that waits for a sleeping pool has a comment every 5 s. */
const STREAM_SILENCE_MS = 60_000;
const DEFAULT_RETRY_MS = 1_000;

/** HTTP to the API and the admin listener of a local Pilotlight. Nothing throws but the abort of a caller's signal. */
export class DemoApi {
  readonly #agent = new Agent({ connections: 128, connectTimeout: 5_000, headersTimeout: STREAM_SILENCE_MS });

  /** One call, its answer read whole. */
  send(call: ApiCall, signal: AbortSignal): Promise<ApiAnswer> {
    return this.#whole(call, ANSWER_TIMEOUT_MS, signal);
  }

  async #whole(call: ApiCall, timeoutMs: number, signal: AbortSignal): Promise<ApiAnswer> {
    const limit = AbortSignal.timeout(timeoutMs);
    try {
      return await wholeAnswer(await this.#request(call, AbortSignal.any([signal, limit])));
    } catch (thrown) {
      signal.throwIfAborted();
      return limit.aborted ? { kind: 'lost', why: 'no answer in time', wasSent: true } : lost(thrown);
    }
  }

  /** Sends the file for batches, read as it is sent; its answer read whole. */
  async upload({ file, ...call }: FileCall, signal: AbortSignal): Promise<ApiAnswer> {
    const body = new FormData();
    body.append('purpose', 'batch');
    body.append('file', await openAsBlob(file), basename(file));
    return this.#whole({ ...call, method: 'POST', body }, FILE_TIMEOUT_MS, signal);
  }

  /** Writes a 200 into the file as it comes; anything else is read whole. `lost` leaves a part of the file. */
  async download({ file, ...call }: FileCall, signal: AbortSignal): Promise<ApiAnswer> {
    try {
      const response = await this.#request({ ...call, method: 'GET' }, signal);
      if (response.statusCode !== 200) return await wholeAnswer(response);
      await pipeline(response.body, createWriteStream(file, { mode: 0o600 }), { signal });
      return { kind: 'answer', status: 200, retryAfterMs: null, text: '' };
    } catch (thrown) {
      signal.throwIfAborted();
      return lost(thrown);
    }
  }

  /** One call with `stream: true`. */
  async stream(call: ApiCall, listener: StreamListener, signal: AbortSignal): Promise<StreamEnd> {
    try {
      const response = await this.#request(call, signal);
      const isStream = String(response.headers['content-type']).startsWith('text/event-stream');
      if (response.statusCode !== 200 || !isStream) return await wholeAnswer(response);
      const parser = createParser({
        onEvent: ({ data }) => listener.data(data),
        onComment: (comment) => listener.comment(comment.trim()),
      });
      response.body.setEncoding('utf8');
      for await (const piece of response.body) parser.feed(String(piece));
      return { kind: 'ended', queueMs: headerNumber(response, 'x-pilotlight-queue-ms') };
    } catch (thrown) {
      signal.throwIfAborted();
      return lost(thrown);
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  #request(
    { origin, method, path, key, headers, body }: ApiCall,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    return this.#agent.request({
      origin,
      method,
      path,
      signal,
      bodyTimeout: STREAM_SILENCE_MS,
      headers: {
        ...headers,
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
        ...(body === undefined || body instanceof FormData ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: body instanceof FormData ? body : JSON.stringify(body) }),
    });
  }
}

async function wholeAnswer(response: Dispatcher.ResponseData): Promise<ApiAnswer> {
  const retryAfterS = headerNumber(response, 'retry-after');
  const retryAfterMs = headerNumber(response, 'retry-after-ms') ?? (retryAfterS === null ? null : retryAfterS * 1_000);
  return { kind: 'answer', status: response.statusCode, retryAfterMs, text: await response.body.text() };
}

function headerNumber({ headers }: Dispatcher.ResponseData, name: string): number | null {
  const text = headers[name];
  return typeof text === 'string' && /^\d+$/.test(text) ? Number(text) : null;
}

function lost(thrown: unknown): ApiAnswer {
  const { code, message } = asError(thrown) as NodeJS.ErrnoException;
  const wasSent = code !== 'ECONNREFUSED' && code !== 'UND_ERR_CONNECT_TIMEOUT';
  return { kind: 'lost', why: message === '' ? (code ?? 'no connection') : message, wasSent };
}

/** Milliseconds to wait before an answer 429 or 503 is worth another try; null for any other answer. */
export function retryDelayMs(answer: ApiAnswer): number | null {
  if (answer.kind === 'lost' || (answer.status !== 429 && answer.status !== 503)) return null;
  return answer.retryAfterMs ?? DEFAULT_RETRY_MS;
}
