import type { ErrorCode } from '../../core/errors.ts';

/** What a failure says about the endpoint. dead: nobody listens. sick: it broke a call. busy: it carries too much. */
export type EndpointFault = 'dead' | 'sick' | 'busy' | 'none';

interface FailureRule {
  readonly code: ErrorCode;
  /** Another attempt may end better, as long as no byte was forwarded. */
  readonly retry: boolean;
  readonly fault: EndpointFault;
}

/**
 * Every way in which one attempt on one endpoint fails. The key is also the metric label and the log field `reason`;
 * docs/dispatch.md tells what engine behaviour stands behind each.
 */
const FAILURES = {
  unreachable: { code: 'upstream_unreachable', retry: true, fault: 'dead' },
  endpoint_gone: { code: 'upstream_unreachable', retry: true, fault: 'none' },
  reset: { code: 'upstream_aborted', retry: true, fault: 'sick' },
  busy: { code: 'upstream_error', retry: true, fault: 'busy' },
  unavailable: { code: 'upstream_error', retry: true, fault: 'sick' },
  server_error: { code: 'upstream_error', retry: true, fault: 'sick' },
  redirected: { code: 'upstream_error', retry: true, fault: 'sick' },
  empty_answer: { code: 'upstream_error', retry: true, fault: 'sick' },
  invalid_answer: { code: 'upstream_error', retry: true, fault: 'sick' },
  error_event: { code: 'upstream_error', retry: true, fault: 'sick' },
  aborted: { code: 'upstream_aborted', retry: true, fault: 'sick' },
  truncated: { code: 'upstream_aborted', retry: true, fault: 'sick' },
  idle_timeout: { code: 'upstream_idle_timeout', retry: true, fault: 'busy' },
  overall_timeout: { code: 'upstream_timeout', retry: false, fault: 'none' },
  too_large: { code: 'upstream_response_too_large', retry: false, fault: 'none' },
} as const satisfies Record<string, FailureRule>;

export type FailureReason = keyof typeof FAILURES;
export const FAILURE_REASONS = Object.keys(FAILURES) as readonly FailureReason[];

export interface Failure {
  readonly reason: FailureReason;
  /** One sentence for the caller; holds nothing of the prompt or the answer. */
  readonly message: string;
}

export function failureRule(reason: FailureReason): FailureRule {
  return FAILURES[reason];
}

/**
 * What an HTTP status means before its body is read. `answer`: 200, look at the body. `refusal`: the engine understood
 * the request and refuses it; the caller gets that answer. vLLM says 503 when its own queue is full and 500 while it
 * terminates; both are met by another endpoint.
 */
export function classifyStatus(
  status: number,
): { kind: 'answer' } | { kind: 'refusal' } | { kind: 'failed'; failure: Failure } {
  if (status >= 200 && status < 300) return { kind: 'answer' };
  const reason = failureOfStatus(status);
  if (reason === null) return { kind: 'refusal' };
  return { kind: 'failed', failure: { reason, message: `The model server answered with HTTP status ${status}.` } };
}

/** Null = a final refusal (4xx other than 408, 425 and 429). */
export function failureOfStatus(status: number): FailureReason | null {
  if (status === 429 || status === 503) return 'busy';
  if (status === 408 || status === 425 || status === 502 || status === 504) return 'unavailable';
  if (status >= 500) return 'server_error';
  if (status >= 400) return null;
  return 'redirected';
}
