/** Of one queue: virtual time, and where each tenant's last item ended in it. */
export interface FairClock {
  readonly virtualTime: number;
  readonly finishOf: ReadonlyMap<string, number>;
}

/** Tags of BullMQ reach so far (2^21 − 1); what lies beyond is taken by arrival. */
export const LAST_TAG = 2_097_151;
/** Tags of one generation. Two have room: the one that is drained now, and the next. */
export const GENERATION_TAGS = 1_048_576;
/** Virtual time advances by one for so many tokens of a tenant of weight 1. */
const TOKENS_A_UNIT = 1_000;

export interface FairTurn {
  /** Virtual time at which the item starts. */
  readonly start: number;
  /** Where its tenant's next one starts at the earliest. */
  readonly finish: number;
}

/**
 * Start-time fair queueing (P. Goyal, H. Vin, H. Cheng, "Start-time Fair Queueing", 1996): an item starts where its
 * tenant's last one ended, or at the present virtual time for one that had none; the lowest start is taken first. Of
 * one tenant's items the earlier one is always first, whatever their deadlines.
 */
export function fairTurn(clock: FairClock, tenant: string, costTokens: number, weight: number): FairTurn {
  const start = Math.max(clock.virtualTime, clock.finishOf.get(tenant) ?? 0);
  return { start, finish: start + fairUnits(costTokens, weight) };
}

/** How far an item moves its tenant on. */
export function fairUnits(costTokens: number, weight: number): number {
  return Math.max(1, costTokens / TOKENS_A_UNIT) / Math.max(weight, Number.MIN_VALUE);
}

/** `base`: the virtual time of the first tag. */
export function tagOf(start: number, base = 0): number {
  return Math.min(LAST_TAG, 1 + Math.max(0, Math.floor(start - base)));
}

/** The virtual time once an item of this tag was taken. */
export function timeAfter(virtualTime: number, openedTag: number): number {
  return Math.max(virtualTime, openedTag - 1);
}

/** Everything of the first generation was taken: tags can begin at the second. */
export function isGenerationOver(virtualTime: number, base: number): boolean {
  return virtualTime - base >= GENERATION_TAGS;
}
