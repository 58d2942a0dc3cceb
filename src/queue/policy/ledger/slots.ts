import { type Endpoint, getOrMake, type LedgerState, type WaitingQueue } from './state.ts';

/** What an endpoint must offer to a ticket. */
export type SlotClass = Pick<WaitingQueue, 'classKey' | 'excluded'>;

export function endpointOf(state: LedgerState, endpointId: string): Endpoint | undefined {
  return state.endpoints.find((endpoint) => endpoint.id === endpointId);
}

/** Slots that are out of use now: taken, offered or in quarantine. */
export function usedSlots(state: LedgerState, endpointId: string): number {
  return (state.used.get(endpointId)?.size ?? 0) + (state.quarantine.get(endpointId)?.size ?? 0);
}

/** Slots that could be given now; 0 when the gate is not open or the endpoint is over-full. */
export function freeSlots(state: LedgerState, endpoint: Endpoint): number {
  return endpoint.gate === 'open' ? Math.max(0, endpoint.slots - usedSlots(state, endpoint.id)) : 0;
}

export function hold(state: LedgerState, endpointId: string, ticketId: string): void {
  getOrMake(state.used, endpointId, () => new Set()).add(ticketId);
}

export function unhold(state: LedgerState, endpointId: string, ticketId: string): void {
  state.used.get(endpointId)?.delete(ticketId);
}

/** Slots that could be given now, over all endpoints. */
export function totalFree(state: LedgerState): number {
  return state.endpoints.reduce((sum, endpoint) => sum + freeSlots(state, endpoint), 0);
}

/** Slots of the pool that are open to work, free or not. */
export function openSlots(state: LedgerState): number {
  return state.endpoints.reduce((sum, endpoint) => sum + (endpoint.gate === 'open' ? endpoint.slots : 0), 0);
}

/**
 * Whether a ticket of the class may run there. Endpoints that failed it are avoided as long as another open one serves
 * its class: trying the same again beats waiting for ever.
 */
export function mayUse(state: LedgerState, { classKey, excluded }: SlotClass, endpoint: Endpoint): boolean {
  if (endpoint.gate !== 'open' || !serves(endpoint, classKey)) return false;
  if (!excluded.includes(endpoint.id)) return true;
  const isOther = (other: Endpoint) => other.gate === 'open' && other.slots > 0 && !excluded.includes(other.id);
  return !state.endpoints.some((other) => isOther(other) && serves(other, classKey));
}

/** The first endpoint of the ranking with a free slot for the class. */
export function bestRanked(state: LedgerState, slotClass: SlotClass, ranking: readonly string[]): string | undefined {
  return ranking.find((id) => {
    const endpoint = endpointOf(state, id);
    return endpoint !== undefined && freeSlots(state, endpoint) > 0 && mayUse(state, slotClass, endpoint);
  });
}

/** The endpoint with most free slots for the class, the earlier of the list among equals. */
export function freest(state: LedgerState, slotClass: SlotClass): string | undefined {
  let bestId: string | undefined;
  let mostFree = 0;
  for (const endpoint of state.endpoints) {
    const free = freeSlots(state, endpoint);
    if (free > mostFree && mayUse(state, slotClass, endpoint)) {
      bestId = endpoint.id;
      mostFree = free;
    }
  }
  return bestId;
}

/** Whether another endpoint has a free slot for the class, too. */
export function isOtherFree(state: LedgerState, slotClass: SlotClass, endpointId: string): boolean {
  return state.endpoints.some(
    (other) => other.id !== endpointId && freeSlots(state, other) > 0 && mayUse(state, slotClass, other),
  );
}

function serves(endpoint: Endpoint, classKey: string): boolean {
  return classKey === '' || endpoint.adapters === null || endpoint.adapters.includes(classKey);
}
