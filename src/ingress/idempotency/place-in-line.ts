import type { DispatchRequest, DispatchResult } from '../../core/dispatch.ts';
import { FLOW_OUTCOMES, flowOutcomeOf } from '../../core/flow-outcomes.ts';
import type { Exchange, HandlerDeps } from '../exchange.ts';
import { repetitionOf } from '../policy/repetition.ts';

type PlaceDeps = Pick<HandlerDeps, 'keys' | 'arrivals' | 'clock'>;

/** The request at the place of an earlier try of the same tenant with the same body, if that lost it a moment ago. */
export function atOldPlace(
  deps: PlaceDeps,
  exchange: Pick<Exchange, 'identity' | 'headers'>,
  request: DispatchRequest,
): DispatchRequest | Promise<DispatchRequest> {
  const { key, sdkRetry } = repetitionOf(exchange.headers);
  const isMarked = key !== null || sdkRetry > 0;
  if (!isMarked && !deps.arrivals.hasAny) return request;
  return deps.arrivals
    .take(exchange.identity.tenant, hashOf(deps, request), isMarked)
    .then((arrivedAtEpochMs) => (arrivedAtEpochMs === null ? request : arrivedThen(deps, request, arrivedAtEpochMs)));
}

/** Remembers when a call came that left the queue, or its slot, before it had an answer. */
export function rememberPlace(
  deps: PlaceDeps,
  { identity: { tenant } }: Pick<Exchange, 'identity'>,
  request: DispatchRequest,
  result: DispatchResult,
): void {
  if (result.kind !== 'failed' || result.begun) return;
  const flow = flowOutcomeOf(result.error);
  const stage = flow && FLOW_OUTCOMES[flow].stage;
  if (stage !== 'evicted' && stage !== 'revoked') return;
  const arrivedAtEpochMs = request.ticket.arrivedAtEpochMs ?? deps.clock.epochMs() - result.times.totalMs;
  deps.arrivals.keep(tenant, hashOf(deps, request), Math.round(arrivedAtEpochMs));
}

/** Its TTL begins anew, its place in the order does not. */
function arrivedThen({ clock }: PlaceDeps, request: DispatchRequest, arrivedAtEpochMs: number): DispatchRequest {
  const { ticket } = request;
  const { expiresAtEpochMs } = ticket;
  const waitedMs = Math.max(0, clock.epochMs() - arrivedAtEpochMs);
  const deadlineEpochMs = ticket.deadlineEpochMs ?? (expiresAtEpochMs === null ? null : expiresAtEpochMs - waitedMs);
  return { ...request, ticket: { ...ticket, arrivedAtEpochMs, deadlineEpochMs } };
}

function hashOf({ keys }: PlaceDeps, { call }: DispatchRequest): string {
  return keys.hashOf([call.pool, call.path, call.body]);
}
