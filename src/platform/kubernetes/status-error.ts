import { KubeApiError } from '../../core/kubernetes.ts';

interface Status {
  readonly kind?: unknown;
  readonly code?: unknown;
  readonly reason?: unknown;
  readonly message?: unknown;
  readonly details?: { readonly retryAfterSeconds?: unknown };
}

const MAX_MESSAGE_CHARS = 1_000;

/** An answer that is no success, as the error that callers branch on. `body` is a metav1.Status where the server sends one. */
export function errorOfAnswer(
  doing: string,
  answer: { readonly status: number; readonly body: unknown; readonly retryAfter?: string | undefined },
  nowEpochMs: number,
): KubeApiError {
  const status = statusOf(answer.body);
  const said = typeof status?.message === 'string' && status.message !== '' ? status.message : textOf(answer.body);
  const message = `${doing}: ${said === '' ? `HTTP ${answer.status}` : said.slice(0, MAX_MESSAGE_CHARS)}`;
  return new KubeApiError(message, {
    status: answer.status,
    reason: typeof status?.reason === 'string' ? status.reason : '',
    retryAfterMs: retryAfterOf(answer.retryAfter, nowEpochMs) ?? retryAfterInStatus(status),
  });
}

/** The error inside a watch event of type ERROR. */
export function errorOfStatus(doing: string, body: unknown): KubeApiError {
  const status = statusOf(body);
  const code = typeof status?.code === 'number' ? status.code : 500;
  return errorOfAnswer(doing, { status: code, body }, 0);
}

function statusOf(body: unknown): Status | null {
  return typeof body === 'object' && body !== null && (body as Status).kind === 'Status' ? body : null;
}

function textOf(body: unknown): string {
  return typeof body === 'string' ? body.trim() : '';
}

function retryAfterInStatus(status: Status | null): number | null {
  const seconds = status?.details?.retryAfterSeconds;
  return typeof seconds === 'number' && seconds > 0 ? seconds * 1_000 : null;
}

/** Seconds or an HTTP date (RFC 9110 10.2.3). */
function retryAfterOf(header: string | undefined, nowEpochMs: number): number | null {
  if (header === undefined) return null;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return seconds >= 0 ? seconds * 1_000 : null;
  const atEpochMs = Date.parse(header);
  return Number.isNaN(atEpochMs) ? null : Math.max(0, atEpochMs - nowEpochMs);
}
