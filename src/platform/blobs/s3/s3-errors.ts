import { PilotlightError } from '../../../core/errors.ts';

/** What the SDK throws: an answer of the service with its status and code, or a failure on the way to it. */
interface ServiceError extends Error {
  readonly $metadata?: { readonly httpStatusCode?: number };
  /** Of the failures on the way, as Node has them. */
  readonly code?: string;
}

/** Codes that mean "again, later" whatever their status (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html). */
const AGAIN: ReadonlySet<string> = new Set([
  'SlowDown',
  'Throttling',
  'ThrottlingException',
  'RequestTimeout',
  'RequestTimeTooSkewed',
  'InternalError',
  'ServiceUnavailable',
  'OperationAborted',
  'ConditionalRequestConflict',
  'TooManyRequests',
]);
const FULL: ReadonlySet<string> = new Set(['QuotaExceeded', 'XMinioStorageFull', 'InsufficientStorage']);
const NO_CREDENTIALS: ReadonlySet<string> = new Set(['CredentialsProviderError', 'TokenProviderError']);
const RETRY_AFTER_MS = 2_000;

export class AttemptTimeout extends Error {
  override readonly name = 'AttemptTimeout';
}

/** Status of the service's answer; null when there was none. */
export function statusOf(error: unknown): number | null {
  return (error as ServiceError).$metadata?.httpStatusCode ?? null;
}

export function isMissing(error: unknown): boolean {
  return statusOf(error) === 404 && nameOf(error) !== 'NoSuchBucket';
}

/** Whether the same call may work a moment later. */
export function isWorthRepeating(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof PilotlightError) return false;
  const name = nameOf(error);
  if (FULL.has(name) || NO_CREDENTIALS.has(name) || error instanceof TypeError) return false;
  const status = statusOf(error);
  // An answer that was cut off or could not be read has the status of a success.
  return status === null || status < 300 || status >= 500 || status === 429 || status === 408 || AGAIN.has(name);
}

/** The service takes nothing more until somebody makes room. */
export function isFull(error: unknown): boolean {
  return FULL.has(nameOf(error));
}

/** What a failed call means, with what to do about it; never the texts of the service, which may hold keys. */
export function describeS3Error(error: Error): string {
  const name = nameOf(error);
  const status = statusOf(error);
  const code = `${name}${status === null ? '' : `, status ${status}`}`;
  if (FULL.has(name)) return `its quota is used up; raise it (${code})`;
  if (NO_CREDENTIALS.has(name))
    return 'there are no credentials; give them in the environment or by the identity of the pod';
  if (name === 'NoSuchBucket') return `the bucket does not exist; create it (${code})`;
  if (status === 301) return `the bucket is in another region; set storage.s3.region (${code})`;
  if (status === 401 || status === 403)
    return `the credentials do not allow it; docs/storage.md lists the rights (${code})`;
  if (error instanceof AttemptTimeout) return 'it does not answer in time';
  if (status === null) return `it cannot be reached (${(error as ServiceError).code ?? name})`;
  return `it answers with ${code}`;
}

const failuresOfService = new WeakSet<Error>();

/** Notes that the service or the way to it failed, as opposed to the source of a put, or an abort. */
export function noteFailure(error: unknown): void {
  if (error instanceof Error) failuresOfService.add(error);
}

/** `store_full` or `store_unavailable` for failures that were noted; anything else as it is. */
export function asStoreError(thrown: unknown): unknown {
  if (thrown instanceof PilotlightError || !(thrown instanceof Error) || !failuresOfService.has(thrown)) return thrown;
  const why = describeS3Error(thrown);
  if (isFull(thrown)) {
    return new PilotlightError('store_full', `The bucket takes nothing more: ${why}.`, { cause: thrown });
  }
  return new PilotlightError('store_unavailable', `The bucket cannot be used: ${why}.`, {
    cause: thrown,
    retryAfterMs: RETRY_AFTER_MS,
  });
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : '';
}
