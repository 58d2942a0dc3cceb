import type { JobView } from '../../core/jobs.ts';
import type { HandlerDeps } from '../exchange.ts';
import { waitOf } from '../job-handler.ts';
import { type ResponseObject, responseObject } from '../policy/responses/response-object.ts';

/** A response as it is, by the view of its job; `known` is its request, if it was read before. */
export async function currentResponse(
  deps: HandlerDeps,
  view: JobView,
  known?: Uint8Array | null,
): Promise<ResponseObject> {
  const { id, tenant } = view.spec;
  const [request, result] = await Promise.all([
    known ?? requestOf(deps, view),
    view.outcome ? deps.jobs.result(id, tenant) : null,
  ]);
  return responseObject({ view, request, result, wait: waitOf(deps, view) });
}

export function requestOf({ jobs }: HandlerDeps, { spec }: JobView): Promise<Uint8Array | null> {
  return jobs.request(spec.id, spec.tenant);
}
