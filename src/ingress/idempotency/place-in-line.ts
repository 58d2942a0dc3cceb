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

/**
 * Remembers when a call came that left the queue, or its slot, before it had an answer. One that came back to its place and
 * was refused at the door, for its rate for example, keeps it for the next try.
 */
export function rememberPlace(
  deps: PlaceDeps,
  { identity: { tenant } }: Pick<Exchange, 'identity'>,
  request: DispatchRequest,
  result: DispatchResult,
): void {
  const knownEpochMs = request.ticket.arrivedAtEpochMs;
  const hasLost = result.kind === 'rejected' ? knownEpochMs !== null : hasLostPlace(result);
  if (!hasLost) return;
  const totalMs = result.kind === 'failed' ? result.times.totalMs : 0;
  const arrivedAtEpochMs = knownEpochMs ?? deps.clock.epochMs() - totalMs;
  deps.arrivals.keep(tenant, hashOf(deps, request), Math.round(arrivedAtEpochMs));
}

function hasLostPlace(result: DispatchResult): boolean {
  if (result.kind !== 'failed' || result.begun) return false;
  const flow = flowOutcomeOf(result.error);
  const stage = flow && FLOW_OUTCOMES[flow].stage;
  return stage === 'evicted' || stage === 'revoked';
}

/**
 * Its TTL begins anew, its place in the order does not. One whose TTL can stand still is evicted at its deadline, so that
 * is left as the caller set it; without one it counts from the arrival.
 */
function arrivedThen({ clock }: PlaceDeps, request: DispatchRequest, arrivedAtEpochMs: number): DispatchRequest {
  const { ticket } = request;
  const { expiresAtEpochMs, expiryStopsWithoutCapacity = false } = ticket;
  const waitedMs = Math.max(0, clock.epochMs() - arrivedAtEpochMs);
  const asThen = expiresAtEpochMs === null || expiryStopsWithoutCapacity ? null : expiresAtEpochMs - waitedMs;
  return { ...request, ticket: { ...ticket, arrivedAtEpochMs, deadlineEpochMs: ticket.deadlineEpochMs ?? asThen } };
}

function hashOf({ keys }: PlaceDeps, { call }: DispatchRequest): string {
  return keys.hashOf([call.pool, call.path, call.body]);
}
