import { Agent, request } from 'undici';
import {
  type KubeApi,
  KubeApiError,
  type KubeObject,
  type KubeRequest,
  type PatchType,
} from '../../../src/core/kubernetes.ts';

export interface ApiAccess {
  readonly url: string;
  /** PEM. */
  readonly ca: string;
  readonly token: string;
}

export interface WatchEvent<T = KubeObject> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: T;
}

const CONTENT_TYPES: Readonly<Record<PatchType, string>> = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
};
const DEFAULT_TIMEOUT_MS = 10_000;

/** The API server as one user. Small on purpose: the tests' own eyes and hands do not share code with what they test. */
export class HarnessApi implements KubeApi {
  readonly access: ApiAccess;
  readonly #agent: Agent;

  constructor(access: ApiAccess) {
    this.access = access;
    this.#agent = new Agent({
      connect: { ca: access.ca, timeout: 5_000 },
      connections: 32,
      bodyTimeout: 0,
      headersTimeout: 0,
    });
  }

  /** The answer's JSON. Throws a KubeApiError; status 0 when there was no answer within the time. */
  async request({
    method,
    path,
    query,
    body,
    patch,
    signal,
    timeoutMs = DEFAULT_TIMEOUT_MS,
  }: KubeRequest): Promise<unknown> {
    const within = AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])]);
    const type = patch === undefined ? 'application/json' : CONTENT_TYPES[patch];
    let status: number;
    let text: string;
    try {
      const answer = await request(this.#url(path, query), {
        method,
        dispatcher: this.#agent,
        headers: { ...this.#headers(), ...(body === undefined ? {} : { 'content-type': type }) },
        body: body === undefined ? null : JSON.stringify(body),
        signal: within,
      });
      status = answer.statusCode;
      text = await answer.body.text();
    } catch (cause) {
      throw new KubeApiError(`${method} ${path}: no answer`, { status: 0 }, { cause });
    }
    const answered = parse(text);
    if (status < 300) return answered;
    const { message, reason } = answered as { message?: string; reason?: string };
    throw new KubeApiError(`${method} ${path}: ${message ?? `${status} ${text.slice(0, 200)}`}`, {
      status,
      ...(reason === undefined ? {} : { reason }),
    });
  }

  /** The events of one watch until the server ends it. Throws a KubeApiError when it is refused. */
  async *watch(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): AsyncGenerator<WatchEvent> {
    const answer = await request(this.#url(path, { ...query, watch: 'true' }), {
      dispatcher: this.#agent,
      headers: this.#headers(),
      signal,
    });
    if (answer.statusCode >= 300) {
      const { message = '', reason = '' } = parse(await answer.body.text()) as { message?: string; reason?: string };
      throw new KubeApiError(`watch ${path}: ${message}`, { status: answer.statusCode, reason });
    }
    let rest = '';
    for await (const chunk of answer.body.setEncoding('utf8')) {
      const lines = (rest + String(chunk)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) yield JSON.parse(line) as WatchEvent;
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  #url(path: string, query: Readonly<Record<string, string>> | undefined): string {
    return `${this.access.url}${path}${query === undefined ? '' : `?${new URLSearchParams(query).toString()}`}`;
  }

  #headers(): Record<string, string> {
    return { authorization: `Bearer ${this.access.token}`, accept: 'application/json' };
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

/** Null instead of a 404. */
export async function orNull<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof KubeApiError && error.status === 404) return null;
    throw error;
  }
}
