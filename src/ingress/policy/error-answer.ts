import { errorEnvelope, PilotlightError } from '../../core/errors.ts';
import { DROPPED_REASON_HEADER, FLOW_OUTCOMES, flowOutcomeOf } from '../../core/flow-outcomes.ts';
import { isJsonObject } from './json-body.ts';

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** Used when nothing measured says when a refused caller should come back. */
const DEFAULT_RETRY_AFTER_MS = 1_000;

/** The OpenAI error envelope as an HTTP answer, with the headers that make official SDKs retry when it helps and only then. */
export function errorAnswer(error: PilotlightError): HttpAnswer {
  const status = error.httpStatus;
  const body = JSON.stringify(errorEnvelope(error));
  const headers: Record<string, string> = { 'content-type': 'application/json; charset=utf-8' };
  if (status === 429 || status === 503 || error.retryAfterMs !== null) {
    const retryAfterMs = Math.max(1, Math.ceil(error.retryAfterMs ?? DEFAULT_RETRY_AFTER_MS));
    headers['retry-after'] = String(Math.ceil(retryAfterMs / 1_000));
    headers['retry-after-ms'] = String(retryAfterMs);
  }
  if (sdkRetries(status) && !error.retryable && error.code !== 'job_not_finished') headers['x-should-retry'] = 'false';
  const reason = droppedReasonOf(error);
  if (reason !== null) headers[DROPPED_REASON_HEADER] = reason;
  if (status === 401) headers['www-authenticate'] = 'Bearer';
  return { status, headers, body };
}

/** An error inside a stream whose head is already sent. The official clients raise an APIError for it. */
export function errorEvent(error: PilotlightError): string {
  return `${droppedComment(error)}data: ${JSON.stringify(errorEnvelope(error))}\n\n`;
}

/** What a refusal has in its headers, as a comment line of a stream; '' for an error that is not flow control's. */
export function droppedComment(error: PilotlightError): string {
  const reason = droppedReasonOf(error);
  if (reason === null) return '';
  const again = error.retryAfterMs === null ? '' : ` retry-after-ms=${Math.ceil(error.retryAfterMs)}`;
  return `: pilotlight dropped=${reason}${again}\n\n`;
}

function droppedReasonOf(error: PilotlightError): string | null {
  const flow = flowOutcomeOf(error);
  return flow && FLOW_OUTCOMES[flow].droppedReason;
}

/** A model server's refusal, once the client was promised a stream and its status can no longer be passed on. */
export function refusedInStream(body: Uint8Array): PilotlightError {
  const message = messageOf(body) ?? 'no reason given';
  return new PilotlightError('upstream_error', `The model server refused the call: ${message}`);
}

/** The message of an OpenAI error envelope, or of the flat one that older engines send. */
function messageOf(body: Uint8Array): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(body));
  } catch {
    return undefined;
  }
  if (!isJsonObject(value)) return undefined;
  const message = isJsonObject(value.error) ? value.error.message : value.message;
  return typeof message === 'string' ? message : undefined;
}

/** Statuses the OpenAI SDKs send again unless `x-should-retry` says no. */
function sdkRetries(status: number): boolean {
  return status === 408 || status === 409 || status === 429 || status >= 500;
}
