import { PilotlightError } from '../../core/errors.ts';
import type { JobSpec } from '../../core/jobs.ts';
import { type Exchange, type HandlerDeps, sendError, sendJson, withRetryAfter } from '../exchange.ts';
import { jobSpec } from '../job-handler.ts';
import type { CallWishes } from '../policy/call-wishes.ts';
import { type ParsedCall, servedBody } from '../policy/parse-call.ts';
import { shortest } from '../policy/wished-duration.ts';
import { responseObject } from '../policy/responses/response-object.ts';
import { routeCall } from '../routing.ts';
import { followResponse } from './follow-response.ts';

/**
 * POST /v1/responses with `background`: stores the call as a job under the response's id, then answers with the response as
 * it is, or with its events. It goes on whether or not the caller stays.
 */
export async function startResponse(
  deps: HandlerDeps,
  exchange: Exchange,
  { path, fields, text }: ParsedCall,
  wishes: CallWishes,
): Promise<void> {
  const { objective, objectiveParam } = wishes;
  const deadlineMs = shortest([wishes.deadlineMs, wishes.ttlMs]);
  const route = routeCall(deps, exchange, { fields, objective, objectiveParam, at: '' });
  if (route instanceof PilotlightError) {
    sendError(exchange, deps.metrics, route);
    return;
  }
  const { servedModel } = route.resolution;
  const { stream } = fields;
  const body = servedBody({ path, text, model: fields.model, servedModel, stream }, Buffer.from(text));
  const asked = { id: deps.ids.responseId(), path, fields, deadlineMs };
  const spec: JobSpec = {
    ...jobSpec(deps, exchange, asked, route, body),
    announce: { kind: 'webhook' },
    ...(stream && { streamed: true }),
  };
  const answer = await deps.jobs.submit(spec, body);
  if (answer.kind === 'rejected') {
    const retryAfterMs = () => deps.advisor.retryAfterMs(spec.pool, spec.objective);
    sendError(exchange, deps.metrics, withRetryAfter(answer.error, retryAfterMs));
  } else if (stream) {
    await followResponse(deps, exchange, { view: answer.view, request: body, after: null, isNew: true });
  } else {
    sendJson(exchange, 200, responseObject({ view: answer.view, request: body, result: null, wait: null }));
  }
}
