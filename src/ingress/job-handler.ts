import { PilotlightError } from '../core/errors.ts';
import type { JobSpec, JobView, SubmitAnswer, SubmitOptions } from '../core/jobs.ts';
import { countRefusal, type Exchange, type HandlerDeps, sendError, sendJson, withRetryAfter } from './exchange.ts';
import { acceptOnce } from './idempotency/accept-once.ts';
import { keyUseOf } from './idempotency/key-use.ts';
import { estimatedTokens } from './policy/build-request.ts';
import { shown } from './policy/fields.ts';
import { isFinished, jobError, jobObject, jobUrl } from './policy/job-object.ts';
import type { JobSubmission } from './policy/job-submission.ts';
import { servedBody } from './policy/parse-call.ts';
import type { WaitPreference } from './policy/prefer.ts';
import { shortest } from './policy/wished-duration.ts';
import { type Route, routeCall } from './routing.ts';

/** Says that an earlier request with the same Idempotency-Key made what is answered. */
export const REPLAYED = { 'idempotent-replayed': 'true' };

/** A client that polls an unfinished job is asked to come back within a minute at the latest. */
const MAX_POLL_AFTER_MS = 60_000;

/**
 * Stores a job and answers 202 with it once it is durable. With `wait` in the preference the answer is the result, if
 * that comes in time; a client that leaves meanwhile leaves the job as it is.
 */
export async function submitJob(
  deps: HandlerDeps,
  exchange: Exchange,
  submission: JobSubmission,
  preference: WaitPreference,
): Promise<void> {
  const { path, bodyText, fields, webhook, ...wishes } = submission;
  const use = keyUseOf(deps.keys, exchange, 'job', () => [path, bodyText, JSON.stringify({ webhook, ...wishes })]);
  const answer = await acceptOnce(deps, exchange, { use, newId: deps.ids.jobId() }, ({ id, bound, isRepeated }) => {
    const route = routeCall(deps, exchange, submission);
    if (route instanceof PilotlightError) return Promise.resolve({ kind: 'rejected', error: route });
    const { servedModel } = route.resolution;
    const served = { path, text: bodyText, model: fields.model, servedModel, hasExtension: fields.hasExtension };
    const body = servedBody(served, Buffer.from(bodyText));
    const spec = {
      ...jobSpec(deps, exchange, { id, ...submission }, route, body),
      ...(webhook && { announce: { kind: 'webhook' as const } }),
      ...(bound && { idempotency: bound }),
    };
    return submitTimed(deps, spec, body, { isRepeated });
  });
  if (answer.kind === 'rejected') sendError(exchange, deps.metrics, answer.error);
  else await answerAccepted(deps, exchange, answer.view, { preference, isReplay: answer.isReplay });
}

/** Submits it; a refusal is counted and says when to come back. */
export async function submitTimed(
  deps: Pick<HandlerDeps, 'jobs' | 'metrics' | 'advisor'>,
  spec: JobSpec,
  body: Uint8Array,
  options: SubmitOptions,
): Promise<SubmitAnswer> {
  const answer = await deps.jobs.submit(spec, body, options);
  if (answer.kind === 'accepted') return answer;
  countRefusal(deps.metrics, answer.error, spec);
  const error = withRetryAfter(answer.error, () => deps.advisor.retryAfterMs(spec.pool, spec.objective));
  return { kind: 'rejected', error };
}

interface AskedJob extends Pick<JobSubmission, 'path' | 'fields' | 'deadlineMs'> {
  readonly id: string;
}

/** The job that `body`, as it will be forwarded, becomes for this caller. */
export function jobSpec(
  deps: Pick<HandlerDeps, 'clock'>,
  exchange: Pick<Exchange, 'identity'>,
  asked: AskedJob,
  { resolution, objective, ttlMs }: Pick<Route, 'resolution' | 'objective' | 'ttlMs'>,
  body: Uint8Array,
): JobSpec {
  const acceptedAtEpochMs = deps.clock.epochMs();
  const deadlineMs = shortest([asked.deadlineMs ?? objective.defaultDeadlineMs, ttlMs]);
  return {
    id: asked.id,
    tenant: exchange.identity.tenant,
    pool: resolution.pool.key,
    objective: objective.name,
    path: asked.path,
    model: asked.fields.model,
    servedModel: resolution.servedModel,
    adapter: resolution.route.adapter ?? null,
    inputTokens: estimatedTokens(body),
    maxOutputTokens: asked.fields.maxOutputTokens,
    acceptedAtEpochMs,
    deadlineEpochMs: deadlineMs === null ? null : acceptedAtEpochMs + deadlineMs,
  };
}

async function answerAccepted(
  deps: HandlerDeps,
  exchange: Exchange,
  accepted: JobView,
  {
    preference: { respondAsync, waitS },
    isReplay,
  }: { readonly preference: WaitPreference; readonly isReplay: boolean },
): Promise<void> {
  const { id, tenant } = accepted.spec;
  const waitMs = Math.min((waitS ?? 0) * 1_000, deps.settings.maxHoldMs);
  const applied = [respondAsync && 'respond-async', waitS !== null && `wait=${Math.floor(waitMs / 1_000)}`];
  const appliedText = applied.filter((preference) => preference !== false).join(', ');
  const headers = {
    location: jobUrl(id),
    ...(appliedText !== '' && { 'preference-applied': appliedText }),
    ...(isReplay && REPLAYED),
  };
  const view = waitMs > 0 ? await deps.jobs.wait(id, tenant, waitMs, exchange.signal) : accepted;
  // A repeated submission that does not wait is answered with a job like the first one, whatever became of it.
  if (waitMs > 0 && view && isFinished(view)) {
    await sendResult(deps, exchange, view, headers);
    return;
  }
  sendJson(exchange, 202, jobObject(view ?? accepted, waitOf(deps, view ?? accepted)), headers);
}

/** GET /v1/jobs/{id} */
export async function showJob(deps: HandlerDeps, exchange: Exchange, id: string): Promise<void> {
  const view = await deps.jobs.get(id, exchange.identity.tenant);
  if (!view) sendError(exchange, deps.metrics, jobNotFound(id));
  else sendJson(exchange, 200, jobObject(view, waitOf(deps, view)));
}

/** GET /v1/jobs/{id}/result: the model server's own answer, with its status. */
export async function showJobResult(deps: HandlerDeps, exchange: Exchange, id: string): Promise<void> {
  const view = await deps.jobs.get(id, exchange.identity.tenant);
  if (!view) sendError(exchange, deps.metrics, jobNotFound(id));
  else if (isFinished(view)) await sendResult(deps, exchange, view, {});
  else sendError(exchange, deps.metrics, jobNotFinished(deps, view));
}

/** POST /v1/jobs/{id}/cancel and DELETE /v1/jobs/{id}. Repeating it is no error; cancelling a result is. */
export async function cancelJob(deps: HandlerDeps, exchange: Exchange, id: string): Promise<void> {
  const answer = await deps.jobs.cancel(id, exchange.identity.tenant);
  if (answer.kind === 'unknown') {
    sendError(exchange, deps.metrics, jobNotFound(id));
  } else if (answer.kind === 'finished' && answer.view.status !== 'cancelled') {
    const message = `The job '${id}' is already ${answer.view.status}; its result is at ${jobUrl(id)}/result.`;
    sendError(exchange, deps.metrics, new PilotlightError('job_already_finished', message, { param: 'id' }));
  } else {
    sendJson(exchange, 200, jobObject(answer.view, null));
  }
}

async function sendResult(
  deps: HandlerDeps,
  exchange: Exchange,
  view: JobView,
  headers: Record<string, string>,
): Promise<void> {
  const { id, tenant } = view.spec;
  const result = await deps.jobs.result(id, tenant);
  const { writer, requestId } = exchange;
  if (!result) {
    const gone = new PilotlightError('result_not_found', `The result of job '${id}' is no longer kept.`, {
      param: 'id',
    });
    sendError(exchange, deps.metrics, jobError(view) ?? gone, headers);
  } else if (!writer.destroyed) {
    writer.writeHead(result.httpStatus, {
      ...headers,
      'content-type': result.contentType,
      'content-length': String(result.body.length),
      'x-request-id': requestId,
    });
    writer.end(result.body);
  }
}

export function waitOf({ advisor }: HandlerDeps, { spec, position }: JobView) {
  return position === undefined ? null : advisor.status(spec.pool, spec.objective, position);
}

function jobNotFinished(deps: HandlerDeps, view: JobView): PilotlightError {
  const etaMs = waitOf(deps, view)?.etaMs ?? 1_000;
  return new PilotlightError('job_not_finished', `The job '${view.spec.id}' is ${view.status}; it has no result yet.`, {
    param: 'id',
    retryAfterMs: Math.min(Math.max(etaMs, 1_000), MAX_POLL_AFTER_MS),
  });
}

function jobNotFound(id: string): PilotlightError {
  return new PilotlightError('job_not_found', `No job found with id '${shown(id)}'.`, { param: 'id' });
}
