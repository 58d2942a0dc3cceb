import { asError, type ErrorEnvelope } from '../core/errors.ts';
import { CliError, EXIT } from './exit-codes.ts';

/** Far above any answer of Pilotlight that is not a wait. */
const ANSWER_TIMEOUT_MS = 30_000;

export interface ClientRequest {
  readonly method?: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  /** JSON, or a form whose files are streamed. */
  readonly body?: string | FormData;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** For the whole answer; default 30 s. */
  readonly timeoutMs?: number;
}

/** A download: its head is there, its bytes are still to be read. */
export interface ClientDownload {
  readonly status: number;
  readonly headers: Headers;
  readonly body: ReadableStream<Uint8Array> | null;
}

/** An answer, read whole. */
export interface ClientAnswer {
  readonly status: number;
  readonly text: string;
  readonly contentType: string;
  /** Milliseconds the server asks to wait; null = it does not say. */
  readonly retryAfterMs: number | null;
  /** What to do about an error code, where it differs from what is usual. */
  readonly remedies?: Readonly<Record<string, string>>;
}

export interface Client {
  readonly url: string;
  /** Throws a CliError when nothing answers; an HTTP error is an answer. */
  send(request: ClientRequest): Promise<ClientAnswer>;
  /** Throws a CliError for everything but bytes. */
  download(request: Pick<ClientRequest, 'path' | 'headers' | 'signal'>): Promise<ClientDownload>;
}

export interface ClientSettings {
  readonly url: string;
  readonly apiKey: string | undefined;
  readonly fetch: typeof globalThis.fetch;
  /** Command and flag that the remedy for "nothing answers" names. */
  readonly howToStart: string;
  readonly flag: string;
  readonly remedies?: Readonly<Record<string, string>>;
}

export function createClient(settings: ClientSettings): Client {
  const { url, apiKey, fetch, howToStart, flag, remedies } = settings;
  const authorization: Record<string, string> = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
  const unreachable = (why: string, thrown: unknown): CliError => {
    const message = `${url} ${why}; start it with "${howToStart}", or name the right address with ${flag}`;
    return new CliError(EXIT.UNREACHABLE, message, { cause: thrown });
  };
  const answerOf = async (response: Response): Promise<ClientAnswer> => ({
    status: response.status,
    text: await response.text(),
    contentType: response.headers.get('content-type') ?? '',
    retryAfterMs: retryAfter(response.headers.get('retry-after')),
    ...(remedies && { remedies }),
  });
  return {
    url,
    async send({ method = 'GET', path, body, headers, signal, timeoutMs = ANSWER_TIMEOUT_MS }) {
      const timeout = AbortSignal.timeout(timeoutMs);
      try {
        const response = await fetch(`${url}${path}`, {
          method,
          headers: {
            ...(typeof body === 'string' ? { 'content-type': 'application/json' } : {}),
            ...authorization,
            ...headers,
          },
          ...(body === undefined ? {} : { body }),
          signal: AbortSignal.any([signal, timeout]),
        });
        return await answerOf(response);
      } catch (thrown) {
        if (signal.aborted) throw signal.reason;
        throw unreachable(
          timeout.aborted ? `did not answer within ${timeoutMs / 1_000} s` : notReachable(thrown),
          thrown,
        );
      }
    },
    async download({ path, headers, signal }) {
      let response: Response;
      try {
        response = await fetch(`${url}${path}`, { headers: { ...authorization, ...headers }, signal });
      } catch (thrown) {
        if (signal.aborted) throw signal.reason;
        throw unreachable(notReachable(thrown), thrown);
      }
      if (response.status >= 400) throw new CliError(EXIT.FAILED, explainRefusal(await answerOf(response)));
      return response;
    },
  };
}

/** fetch hides the reason (refused, unknown host, bad certificate) in the cause. */
function notReachable(thrown: unknown): string {
  const { code } = (asError(thrown).cause ?? {}) as { code?: unknown };
  return `is not reachable${typeof code === 'string' ? ` (${code})` : ''}`;
}

function retryAfter(header: string | null): number | null {
  return header !== null && /^\d+$/.test(header) ? Number(header) * 1_000 : null;
}

const REMEDIES: Readonly<Record<string, string>> = {
  invalid_api_key: 'put the key into PILOTLIGHT_API_KEY, or name a file that holds it with --api-key-file',
  job_not_finished: 'wait for it with: pilotlight jobs result <id> --wait',
  model_not_found: 'the names that exist: pilotlight status',
};

/** "message (code); remedy" of a refusal; for an answer that is no error envelope, its status and first line. */
export function explainRefusal(answer: ClientAnswer): string {
  const error = errorOf(answer);
  if (!error)
    return `HTTP ${answer.status}: ${answer.text.trim().split('\n', 1)[0]?.slice(0, 200) || 'no explanation'}`;
  const remedy = { ...REMEDIES, ...answer.remedies }[error.code ?? ''];
  const message = error.message.replace(/\.$/, '');
  return `${message} (${error.code ?? error.type})${remedy === undefined ? '' : `; ${remedy}`}`;
}

/** The error of an answer, if it is in the OpenAI form. */
export function errorOf(answer: Pick<ClientAnswer, 'text'>): ErrorEnvelope['error'] | undefined {
  try {
    const { error } = JSON.parse(answer.text) as { error?: Partial<ErrorEnvelope['error']> };
    if (typeof error?.message !== 'string') return undefined;
    return { message: error.message, type: error.type ?? '', param: error.param ?? null, code: error.code ?? null };
  } catch {
    return undefined;
  }
}

/** The JSON value of a success; throws a CliError that explains anything else. */
export function expectJson(answer: ClientAnswer): unknown {
  if (answer.status >= 400) throw new CliError(EXIT.FAILED, explainRefusal(answer));
  try {
    return JSON.parse(answer.text) as unknown;
  } catch (thrown) {
    const message = `the answer is not JSON; is this address Pilotlight's? (${answer.text.slice(0, 80)})`;
    throw new CliError(EXIT.FAILED, message, { cause: thrown });
  }
}
