import { PilotlightError } from '../../core/errors.ts';
import type { JobSpec, JobView } from '../../core/jobs.ts';
import { type Exchange, type HandlerDeps, sendError, sendJson } from '../exchange.ts';
import { acceptOnce } from '../idempotency/accept-once.ts';
import { keyUseOf } from '../idempotency/key-use.ts';
import { jobSpec, REPLAYED, submitTimed } from '../job-handler.ts';
import type { CallWishes } from '../policy/call-wishes.ts';
import { type ParsedCall, servedBody } from '../policy/parse-call.ts';
import { responseObject } from '../policy/responses/response-object.ts';
import { shortest } from '../policy/wished-duration.ts';
import { routeCall } from '../routing.ts';
import { currentResponse, requestOf } from './current-response.ts';
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
  const { stream } = fields;
  const use = keyUseOf(deps.keys, exchange, 'response', () => [path, text]);
  const newId = deps.ids.responseId();
  let request: Uint8Array | null = null;
  const answer = await acceptOnce(deps, exchange, { use, newId }, ({ id, bound, isRepeated }) => {
    const route = routeCall(deps, exchange, { fields, objective, objectiveParam, at: '' });
    if (route instanceof PilotlightError) return Promise.resolve({ kind: 'rejected', error: route });
    const { servedModel } = route.resolution;
    request = servedBody({ path, text, model: fields.model, servedModel, stream }, Buffer.from(text));
    const spec: JobSpec = {
      ...jobSpec(deps, exchange, { id, path, fields, deadlineMs }, route, request),
      announce: { kind: 'webhook' },
      ...(stream && { streamed: true }),
      ...(bound && { idempotency: bound }),
    };
    return submitTimed(deps, spec, request, { isRepeated });
  });
  if (answer.kind === 'rejected') sendError(exchange, deps.metrics, answer.error);
  else if (answer.isReplay) await showAgain(deps, exchange, answer.view);
  else if (stream) await followResponse(deps, exchange, { view: answer.view, request, after: null, isNew: true });
  else sendJson(exchange, 200, responseObject({ view: answer.view, request, result: null, wait: null }));
}

/** What the key stands for, as it is now; a stream from its start. */
async function showAgain(deps: HandlerDeps, exchange: Exchange, view: JobView): Promise<void> {
  if (view.spec.streamed !== true) {
    sendJson(exchange, 200, await currentResponse(deps, view), REPLAYED);
    return;
  }
  const request = await requestOf(deps, view);
  await followResponse(deps, exchange, { view, request, after: null, headers: REPLAYED });
}
