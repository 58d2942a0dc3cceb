/** One pod as a source of free slots. */
export interface SlotSource {
  readonly availableInMs: number;
  /** Slots free once it is available. */
  readonly freeSlots: number;
  /** Requests it finishes in a millisecond when full. */
  readonly requestsPerMs: number;
}

/**
 * Until the request at `position` (0 = next) gets a slot: the first moment at which more slots have come free, on ready
 * pods and on those that boot, than stand before it. Null when these pods never offer one.
 */
export function slotInMs(position: number, sources: readonly SlotSource[]): number | null {
  const byStart = [...sources].sort((a, b) => a.availableInMs - b.availableInMs);
  let offered = 0;
  let perMs = 0;
  let fromMs = 0;
  for (const source of byStart) {
    const missing = position + 1 - offered;
    const untilMs = missing <= 0 ? 0 : missing / perMs;
    if (perMs > 0 && fromMs + untilMs <= source.availableInMs) return fromMs + untilMs;
    offered += perMs * (source.availableInMs - fromMs) + source.freeSlots;
    perMs += source.requestsPerMs;
    fromMs = source.availableInMs;
    if (offered >= position + 1) return fromMs;
  }
  return perMs === 0 ? null : fromMs + (position + 1 - offered) / perMs;
}
