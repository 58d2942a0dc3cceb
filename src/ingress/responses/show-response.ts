import { PilotlightError } from '../../core/errors.ts';
import type { JobView } from '../../core/jobs.ts';
import { type Exchange, type HandlerDeps, sendJson } from '../exchange.ts';
import { shown, wrongValue } from '../policy/fields.ts';
import { afterOf, integerIn, wordIn } from '../policy/query.ts';
import { inputItems } from '../policy/responses/input-items.ts';
import { isResponseJob } from '../policy/responses/response-object.ts';
import { currentResponse, requestOf } from './current-response.ts';
import { followResponse } from './follow-response.ts';

/** As OpenAI limits a page of input items. */
const MAX_ITEMS = 100;
const DEFAULT_ITEMS = 20;

/** GET /v1/responses/{id}: as it is now, or with `stream=true` its events from `starting_after` on. */
export async function showResponse(
  deps: HandlerDeps,
  exchange: Exchange,
  id: string,
  query: URLSearchParams,
): Promise<void> {
  const view = await responseJob(deps, exchange, id);
  const after = integerIn(query, 'starting_after', { min: 0, max: Number.MAX_SAFE_INTEGER });
  if (wordIn(query, 'stream', ['true', 'false']) !== 'true') {
    if (after !== null) throw wrongValue('starting_after', 'is the number of an event; add stream=true');
    sendJson(exchange, 200, await currentResponse(deps, view));
    return;
  }
  if (view.spec.streamed !== true) {
    throw wrongValue('stream', `the response '${id}' was not created with "stream": true; ask for it without stream`);
  }
  await followResponse(deps, exchange, { view, request: await requestOf(deps, view), after });
}

/** POST /v1/responses/{id}/cancel. Of one that has ended nothing changes. */
export async function cancelResponse(deps: HandlerDeps, exchange: Exchange, id: string): Promise<void> {
  await responseJob(deps, exchange, id);
  const answer = await deps.jobs.cancel(id, exchange.identity.tenant);
  if (answer.kind === 'unknown') throw responseNotFound(id);
  sendJson(exchange, 200, await currentResponse(deps, answer.view));
}

/** DELETE /v1/responses/{id}: cancels it if it still runs, and forgets it. */
export async function deleteResponse(deps: HandlerDeps, exchange: Exchange, id: string): Promise<void> {
  await responseJob(deps, exchange, id);
  if (!(await deps.jobs.delete(id, exchange.identity.tenant))) throw responseNotFound(id);
  sendJson(exchange, 200, { id, object: 'response', deleted: true });
}

/** GET /v1/responses/{id}/input_items */
export async function listInputItems(
  deps: HandlerDeps,
  exchange: Exchange,
  id: string,
  query: URLSearchParams,
): Promise<void> {
  const request = await requestOf(deps, await responseJob(deps, exchange, id));
  if (!request) throw responseNotFound(id);
  const page = {
    limit: integerIn(query, 'limit', { min: 1, max: MAX_ITEMS }) ?? DEFAULT_ITEMS,
    after: afterOf(query),
    order: wordIn(query, 'order', ['asc', 'desc']) ?? 'desc',
  };
  sendJson(exchange, 200, inputItems(request, id, page));
}

async function responseJob({ jobs }: HandlerDeps, { identity }: Exchange, id: string): Promise<JobView> {
  const view = await jobs.get(id, identity.tenant);
  if (!view || !isResponseJob(view)) throw responseNotFound(id);
  return view;
}

function responseNotFound(id: string): PilotlightError {
  const message = `No response found with id '${shown(id)}'. Only background responses are kept, and only for a while.`;
  return new PilotlightError('response_not_found', message, { param: 'id' });
}
