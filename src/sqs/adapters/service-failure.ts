interface ServiceError extends Error {
  readonly $metadata?: { readonly httpStatusCode?: number };
  /** Of failures on the way, as Node has them. */
  readonly code?: string;
}

const NO_CREDENTIALS: ReadonlySet<string> = new Set(['CredentialsProviderError', 'TokenProviderError']);

/** A call that the service failed. Its message says what to do, and nothing of the service's own texts, which may hold keys. */
export class ServiceFailure extends Error {
  override readonly name = 'ServiceFailure';

  constructor(what: string, cause: unknown) {
    super(`${what}: ${describe(cause)}`);
  }
}

export function statusOf(error: unknown): number | null {
  return (error as ServiceError).$metadata?.httpStatusCode ?? null;
}

export function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : '';
}

function describe(error: unknown): string {
  const name = nameOf(error);
  const status = statusOf(error);
  if (NO_CREDENTIALS.has(name))
    return 'there are no credentials; give them in the environment or by the identity of the pod';
  if (name === 'QueueDoesNotExist' || name.includes('NonExistentQueue'))
    return 'the queue does not exist; check its URL and region';
  if (status === 401 || status === 403)
    return `the credentials do not allow it; docs/sqs.md lists the rights (${name})`;
  if (name === 'AbortError' || name === 'TimeoutError') return 'it does not answer in time';
  if (status === null) return `it cannot be reached (${(error as ServiceError).code ?? name})`;
  return `it answers with ${name}, status ${status}`;
}
