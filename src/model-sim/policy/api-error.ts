/** A refusal in vLLM's error shape: `type` is its exception's name, `code` the HTTP status again. */
export interface ApiError {
  readonly status: number;
  readonly type: string;
  readonly message: string;
  readonly param: string | null;
}

export type Checked<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: ApiError };

export function badRequest(message: string, param: string | null = null): ApiError {
  return { status: 400, type: 'BadRequestError', message, param };
}

export function notFound(message: string, param: string | null = null): ApiError {
  return { status: 404, type: 'NotFoundError', message, param };
}

export function serverError(message: string, status = 500): ApiError {
  return { status, type: 'InternalServerError', message, param: null };
}

export function unavailable(message: string): ApiError {
  return { status: 503, type: 'ServiceUnavailableError', message, param: null };
}

/** The JSON of the error, as a body and as an event inside a stream. */
export function errorJson({ message, type, param, status }: ApiError): string {
  return JSON.stringify({ error: { message, type, param, code: status } });
}
