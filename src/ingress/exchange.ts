import type { Clock } from '../core/clock.ts';
import type { CallRunner, WaitAdvisor } from '../core/dispatch.ts';
import { PilotlightError } from '../core/errors.ts';
import { FlowError, flowOutcomeOf } from '../core/flow-outcomes.ts';
import type { KeptArrivals, RequestKeys } from '../core/idempotency.ts';
import type { Identity } from '../core/identity.ts';
import type { JobEvents } from '../core/job-events.ts';
import type { JobService } from '../core/jobs.ts';
import type { Logger } from '../core/logger.ts';
import type { CatalogSource } from '../core/objects.ts';
import type { RateQuotas, TenantDirectory } from '../core/tenants.ts';
import type { IngressMetrics } from './metrics.ts';
import { errorAnswer } from './policy/error-answer.ts';
import type { AnswerWriter, CallHeaders, IdSource } from './ports.ts';
import type { IngressSettings } from './settings.ts';

/** What handlers work with. */
export interface HandlerDeps {
  readonly catalog: CatalogSource;
  readonly runner: CallRunner;
  readonly jobs: JobService;
  readonly jobEvents: JobEvents;
  readonly advisor: WaitAdvisor;
  readonly clock: Clock;
  readonly ids: IdSource;
  readonly log: Logger;
  readonly metrics: IngressMetrics;
  readonly settings: IngressSettings;
  readonly keys: RequestKeys;
  readonly arrivals: KeptArrivals;
  readonly tenants: TenantDirectory;
  /** What is told of rates in headers; absent = nothing. They are enforced by the runner. */
  readonly quotas?: Pick<RateQuotas, 'state'>;
}

/** One authenticated request and its answer. */
export interface Exchange {
  /** As answered in x-request-id: the caller's own if it sent a sane one. Not unique. */
  readonly requestId: string;
  /** Made here and unique; the id of a held call's ticket. */
  readonly callId: string;
  readonly identity: Identity;
  readonly headers: CallHeaders;
  readonly writer: AnswerWriter;
  /** Aborts as soon as the client is gone. */
  readonly signal: AbortSignal;
}

/** Of a request that is refused before it is known where it would go. */
const NOWHERE = { pool: 'none', objective: 'none' };

type Answered = Pick<Exchange, 'requestId' | 'writer'>;

/** Answers with a JSON value. Does nothing when the client is gone. */
export function sendJson(
  exchange: Answered,
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): void {
  sendText(exchange, status, JSON.stringify(value), { 'content-type': 'application/json; charset=utf-8', ...headers });
}

/** Answers with the error's status and envelope. */
export function sendError(
  exchange: Answered,
  metrics: IngressMetrics,
  error: PilotlightError,
  headers: Record<string, string> = {},
): void {
  if (exchange.writer.destroyed) return;
  metrics.errors.inc({ code: error.code });
  const answer = errorAnswer(error);
  sendText(exchange, answer.status, answer.body, { ...answer.headers, ...headers });
}

/** What went wrong, as an error for the caller. Anything unforeseen is logged and told without details. */
export function reportable(thrown: unknown, log: Logger, requestId: string): PilotlightError {
  if (thrown instanceof PilotlightError) return thrown;
  log.error({ requestId, err: thrown }, 'request.crashed');
  return new PilotlightError('internal_error', `Something went wrong here; the logs have it under ${requestId}.`);
}

/** The same error with a time to come back, where it has none of its own. */
export function withRetryAfter(error: PilotlightError, retryAfterMs: () => number): PilotlightError {
  const wantsOne = error.httpStatus === 429 || error.httpStatus === 503;
  if (!wantsOne || error.retryAfterMs !== null) return error;
  return retold(error, error.message, retryAfterMs());
}

/** The same error in other words. */
export function retold(error: PilotlightError, message: string, retryAfterMs: number | null): PilotlightError {
  const details = {
    cause: error.cause,
    ...(error.param !== null && { param: error.param }),
    ...(retryAfterMs !== null && { retryAfterMs }),
  };
  if (error instanceof FlowError) return new FlowError(error.flow, message, details);
  return new PilotlightError(error.code, message, details);
}

/** Counts a request that is refused before the dispatcher or the job service's backlog saw it. */
export function countRefusal(
  metrics: IngressMetrics,
  error: PilotlightError,
  { pool, objective }: { readonly pool: string; readonly objective: string } = NOWHERE,
): void {
  const outcome = flowOutcomeOf(error);
  if (outcome !== null) metrics.flowOutcomes.inc({ pool, objective, outcome });
}

/** Answers with a text whose length is told. Does nothing when the client is gone. */
export function sendText(
  { requestId, writer }: Answered,
  status: number,
  body: string,
  headers: Record<string, string>,
): void {
  if (writer.destroyed) return;
  if (writer.headersSent) {
    // Something broke in mid-answer; the client must not take what it has for the whole.
    if (!writer.writableEnded) writer.destroy();
    return;
  }
  const bytes = Buffer.from(body);
  writer.writeHead(status, { ...headers, 'x-request-id': requestId, 'content-length': String(bytes.length) });
  writer.end(bytes);
}
