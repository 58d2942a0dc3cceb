/**
 * Every failure Pilotlight reports, in one place. `code` is stable: HTTP bodies, logs and docs/errors.md use it.
 * `type` and `httpStatus` follow the OpenAI error envelope: 429 = busy, 503 = no capacity, never 404 for a sleeping model.
 */
const CATALOGUE = {
  // The caller's request cannot be served as it is.
  invalid_json: { httpStatus: 400, type: 'invalid_request_error', retryable: false },
  invalid_type: { httpStatus: 400, type: 'invalid_request_error', retryable: false },
  invalid_value: { httpStatus: 400, type: 'invalid_request_error', retryable: false },
  missing_required_parameter: { httpStatus: 400, type: 'invalid_request_error', retryable: false },
  unknown_objective: { httpStatus: 400, type: 'invalid_request_error', retryable: false },
  invalid_api_key: { httpStatus: 401, type: 'authentication_error', retryable: false },
  no_tenant: { httpStatus: 403, type: 'permission_error', retryable: false },
  admin_forbidden: { httpStatus: 403, type: 'permission_error', retryable: false },
  objective_forbidden: { httpStatus: 403, type: 'permission_error', retryable: false },
  model_forbidden: { httpStatus: 403, type: 'permission_error', retryable: false },
  model_not_found: { httpStatus: 404, type: 'invalid_request_error', retryable: false },
  job_not_found: { httpStatus: 404, type: 'invalid_request_error', retryable: false },
  file_not_found: { httpStatus: 404, type: 'invalid_request_error', retryable: false },
  upload_not_found: { httpStatus: 404, type: 'invalid_request_error', retryable: false },
  batch_not_found: { httpStatus: 404, type: 'invalid_request_error', retryable: false },
  response_not_found: { httpStatus: 404, type: 'invalid_request_error', retryable: false },
  webhook_not_found: { httpStatus: 404, type: 'invalid_request_error', retryable: false },
  batches_disabled: { httpStatus: 404, type: 'invalid_request_error', retryable: false },
  integer_above_max_value: { httpStatus: 400, type: 'invalid_request_error', retryable: false },
  integer_below_min_value: { httpStatus: 400, type: 'invalid_request_error', retryable: false },
  invalid_file: { httpStatus: 400, type: 'invalid_request_error', retryable: false },
  file_too_large: { httpStatus: 400, type: 'invalid_request_error', retryable: false },
  row_too_large: { httpStatus: 400, type: 'invalid_request_error', retryable: false },
  result_not_found: { httpStatus: 404, type: 'invalid_request_error', retryable: false },
  jobs_disabled: { httpStatus: 404, type: 'invalid_request_error', retryable: false },
  route_not_found: { httpStatus: 404, type: 'invalid_request_error', retryable: false },
  method_not_allowed: { httpStatus: 405, type: 'invalid_request_error', retryable: false },
  request_cancelled: { httpStatus: 499, type: 'request_cancelled', retryable: false },
  request_timeout: { httpStatus: 408, type: 'invalid_request_error', retryable: true },
  job_not_finished: { httpStatus: 409, type: 'invalid_request_error', retryable: false },
  job_already_finished: { httpStatus: 409, type: 'invalid_request_error', retryable: false },
  file_in_use: { httpStatus: 409, type: 'invalid_request_error', retryable: false },
  upload_closed: { httpStatus: 409, type: 'invalid_request_error', retryable: false },
  batch_already_finished: { httpStatus: 409, type: 'invalid_request_error', retryable: false },
  batch_not_finished: { httpStatus: 409, type: 'invalid_request_error', retryable: false },
  nothing_to_retry: { httpStatus: 409, type: 'invalid_request_error', retryable: false },
  idempotency_conflict: { httpStatus: 409, type: 'invalid_request_error', retryable: false },
  idempotency_in_progress: { httpStatus: 409, type: 'invalid_request_error', retryable: true },
  stream_position_gone: { httpStatus: 410, type: 'invalid_request_error', retryable: false },
  range_not_satisfiable: { httpStatus: 416, type: 'invalid_request_error', retryable: false },
  body_too_large: { httpStatus: 413, type: 'invalid_request_error', retryable: false },
  unsupported_media_type: { httpStatus: 415, type: 'invalid_request_error', retryable: false },
  // Rejected before the queue.
  queue_full: { httpStatus: 429, type: 'rate_limit_error', retryable: true },
  queue_shed: { httpStatus: 429, type: 'rate_limit_error', retryable: true },
  tenant_queue_full: { httpStatus: 429, type: 'rate_limit_error', retryable: true },
  rate_limit_exceeded: { httpStatus: 429, type: 'rate_limit_error', retryable: true },
  batch_rows_full: { httpStatus: 429, type: 'rate_limit_error', retryable: true },
  batches_full: { httpStatus: 429, type: 'rate_limit_error', retryable: true },
  files_full: { httpStatus: 429, type: 'rate_limit_error', retryable: false },
  uploads_full: { httpStatus: 429, type: 'rate_limit_error', retryable: true },
  held_calls_full: { httpStatus: 429, type: 'rate_limit_error', retryable: true },
  held_bytes_full: { httpStatus: 429, type: 'rate_limit_error', retryable: true },
  identity_unavailable: { httpStatus: 503, type: 'overloaded_error', retryable: true },
  no_capacity: { httpStatus: 503, type: 'overloaded_error', retryable: true },
  draining: { httpStatus: 503, type: 'overloaded_error', retryable: true },
  store_full: { httpStatus: 507, type: 'server_error', retryable: false },
  store_unavailable: { httpStatus: 503, type: 'overloaded_error', retryable: true },
  queue_unavailable: { httpStatus: 503, type: 'overloaded_error', retryable: true },
  accept_unknown: { httpStatus: 503, type: 'overloaded_error', retryable: true },
  // Evicted after the queue took it.
  evicted_displaced: { httpStatus: 429, type: 'rate_limit_error', retryable: true },
  max_hold_exceeded: { httpStatus: 503, type: 'overloaded_error', retryable: true },
  queue_ttl_exceeded: { httpStatus: 504, type: 'timeout_error', retryable: true },
  batch_expired: { httpStatus: 504, type: 'timeout_error', retryable: false },
  batch_cancelled: { httpStatus: 499, type: 'request_cancelled', retryable: false },
  deadline_exceeded: { httpStatus: 504, type: 'timeout_error', retryable: false },
  lease_lost: { httpStatus: 503, type: 'overloaded_error', retryable: true },
  // The model server failed.
  upstream_unreachable: { httpStatus: 502, type: 'upstream_error', retryable: true },
  upstream_error: { httpStatus: 502, type: 'upstream_error', retryable: true },
  upstream_aborted: { httpStatus: 502, type: 'upstream_error', retryable: true },
  upstream_idle_timeout: { httpStatus: 504, type: 'upstream_error', retryable: true },
  upstream_timeout: { httpStatus: 504, type: 'upstream_error', retryable: true },
  upstream_response_too_large: { httpStatus: 502, type: 'upstream_error', retryable: false },
  row_quarantined: { httpStatus: 502, type: 'upstream_error', retryable: false },
  attempts_exhausted: { httpStatus: 502, type: 'upstream_error', retryable: true },
  // Ours.
  config_invalid: { httpStatus: 500, type: 'server_error', retryable: false },
  internal_error: { httpStatus: 500, type: 'server_error', retryable: false },
} as const satisfies Record<string, { httpStatus: number; type: string; retryable: boolean }>;

export type ErrorCode = keyof typeof CATALOGUE;

export const ERROR_CODES = Object.keys(CATALOGUE) as readonly ErrorCode[];

export interface ErrorDetails {
  /** The request field or configuration path at fault, e.g. "messages[0].role". */
  param?: string;
  /** When a retry makes sense, milliseconds from now. */
  retryAfterMs?: number;
  cause?: unknown;
}

/** A failure Pilotlight reports to a caller. The message names the field and the limit, and says what to do next. */
export class PilotlightError extends Error {
  override readonly name = 'PilotlightError';
  readonly code: ErrorCode;
  readonly param: string | null;
  readonly retryAfterMs: number | null;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.param = details.param ?? null;
    this.retryAfterMs = details.retryAfterMs ?? null;
  }

  get httpStatus(): number {
    return CATALOGUE[this.code].httpStatus;
  }

  get type(): string {
    return CATALOGUE[this.code].type;
  }

  get retryable(): boolean {
    return CATALOGUE[this.code].retryable;
  }
}

/** The OpenAI error envelope: all four keys, `param` and `code` string or null. */
export interface ErrorEnvelope {
  error: { message: string; type: string; param: string | null; code: string | null };
}

export function errorEnvelope(error: PilotlightError): ErrorEnvelope {
  return { error: { message: error.message, type: error.type, param: error.param, code: error.code } };
}

/** What was thrown, as an Error. Never throws. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
