import { asError, type ErrorEnvelope } from '../core/errors.ts';
import { CliError, EXIT } from './exit-codes.ts';

/** Far above any answer of Pilotlight that is not a wait. */
const ANSWER_TIMEOUT_MS = 30_000;

export interface ClientRequest {
  readonly method?: 'GET' | 'POST';
  readonly path: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
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
  return {
    url,
    async send({ method = 'GET', path, body, headers, signal }) {
      const timeout = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
      try {
        const response = await fetch(`${url}${path}`, {
          method,
          headers: {
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
            ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
            ...headers,
          },
          ...(body === undefined ? {} : { body }),
          signal: AbortSignal.any([signal, timeout]),
        });
        return {
          status: response.status,
          text: await response.text(),
          contentType: response.headers.get('content-type') ?? '',
          retryAfterMs: retryAfter(response.headers.get('retry-after')),
          ...(remedies && { remedies }),
        };
      } catch (thrown) {
        if (signal.aborted) throw signal.reason;
        const why = timeout.aborted ? `did not answer within ${ANSWER_TIMEOUT_MS / 1_000} s` : notReachable(thrown);
        const message = `${url} ${why}; start it with "${howToStart}", or name the right address with ${flag}`;
        throw new CliError(EXIT.UNREACHABLE, message, { cause: thrown });
      }
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
