/** Of one lane: virtual time, and where each tenant's last chunk ended in it. */
export interface FairClock {
  readonly virtualTime: number;
  readonly finishOf: ReadonlyMap<string, number>;
}

/** Tags of BullMQ reach so far (2^21 − 1); beyond it chunks are taken by arrival. */
export const LAST_TAG = 2_097_151;
/** Virtual time advances by one for so many tokens of a tenant of weight 1. */
const TOKENS_A_UNIT = 1_000;

export interface FairTurn {
  readonly tag: number;
  readonly finish: number;
}

/**
 * Start-time fair queueing (P. Goyal, H. Vin, H. Cheng, "Start-time Fair Queueing", 1996): a chunk starts where its
 * tenant's last one ended, or at the present virtual time for one that had none; the lowest start is opened first.
 *
 * A lane that nobody asked for a while begins at zero again. One that is never idle reaches LAST_TAG after some two
 * billion tokens: from then on it is fair by arrival, which differs little because a tenant has two chunks waiting at most.
 */
export function fairTurn(clock: FairClock, tenant: string, costTokens: number, weight: number): FairTurn {
  const start = Math.max(clock.virtualTime, clock.finishOf.get(tenant) ?? 0);
  return { tag: tagOf(start), finish: start + fairUnits(costTokens, weight) };
}

/** How far a chunk moves its tenant on. */
export function fairUnits(costTokens: number, weight: number): number {
  return Math.max(1, costTokens / TOKENS_A_UNIT) / Math.max(weight, Number.MIN_VALUE);
}

export function tagOf(start: number): number {
  return Math.min(LAST_TAG, 1 + Math.floor(start));
}

/** The virtual time once a chunk of this tag was opened. */
export function timeAfter(virtualTime: number, openedTag: number): number {
  return Math.max(virtualTime, openedTag - 1);
}
