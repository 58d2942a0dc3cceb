/**
 * A quota of one tenant as a sliding window: units are counted in the second in which they were leased, and count until
 * all of that second is a minute old. In any 60 seconds no more is leased than the limit.
 *
 * Not a token bucket: one that holds a minute's worth lets twice the limit pass in the minute after a rest, and the
 * limit is promised "in a minute". The price is at most 61 numbers for each quota.
 */
export const SLOT_MS = 1_000;
/** Seconds that count: the present one, and 60 before it. */
export const WINDOW_SLOTS = 61;
/** Of what would be left, at most this part is leased ahead of need, so that near its limit a quota is exact. */
const AHEAD_PART = 4;

/** Units by the second they were leased in, counted from the epoch. */
export type RateWindow = Map<number, number>;

export function slotOf(nowEpochMs: number): number {
  return Math.floor(nowEpochMs / SLOT_MS);
}

/** Removes what counts no more. A second that is far ahead was written before the clock was set back. */
export function forgetOld(window: RateWindow, nowSlot: number): void {
  for (const slot of window.keys()) {
    if (slot <= nowSlot - WINDOW_SLOTS || slot >= nowSlot + WINDOW_SLOTS) window.delete(slot);
  }
}

export function inUse(window: RateWindow): number {
  let units = 0;
  for (const leased of window.values()) units += leased;
  return units;
}

/** Units come back to the second they were leased in; if that counts no more, they were free already. */
export function giveBack(window: RateWindow, slot: number, units: number): void {
  const left = (window.get(slot) ?? 0) - units;
  if (left > 0) window.set(slot, left);
  else window.delete(slot);
}

export function lease(window: RateWindow, nowSlot: number, units: number): void {
  if (units > 0) window.set(nowSlot, (window.get(nowSlot) ?? 0) + units);
}

/** Units that were used beyond an estimate. A window never counts more than twice its limit, so a debt is paid in a minute. */
export function charge(window: RateWindow, nowSlot: number, limit: number, units: number): void {
  lease(window, nowSlot, Math.min(units, Math.max(0, 2 * limit - inUse(window))));
}

export interface Wish {
  /** Refused unless there is so much. */
  readonly need: number;
  /** For requests that wait too: as much of it as there is. */
  readonly more: number;
  /** For requests that will come. */
  readonly ahead: number;
}

/** How many units a wish gets; null = refused. A need above the whole limit passes when nothing else counts. */
export function unitsFor({ need, more, ahead }: Wish, limit: number, used: number): number | null {
  const left = limit - used;
  if (need > left) return used <= 0 ? need : null;
  const now = need + Math.min(more, left - need);
  return now + Math.min(ahead, Math.floor((left - now) / AHEAD_PART));
}

/** Milliseconds until `need` would be granted, if nothing else is leased or comes back. */
export function waitMs(window: RateWindow, need: number, limit: number, nowEpochMs: number): number {
  let used = inUse(window);
  for (const slot of [...window.keys()].sort((a, b) => a - b)) {
    if (need <= limit - used || used <= 0) break;
    used -= window.get(slot) ?? 0;
    if (need <= limit - used || used <= 0) return endOf(slot) - nowEpochMs;
  }
  return 0;
}

/** Milliseconds until nothing counts any more. */
export function resetMs(window: RateWindow, nowEpochMs: number): number {
  return window.size === 0 ? 0 : endOf(Math.max(...window.keys())) - nowEpochMs;
}

function endOf(slot: number): number {
  return (slot + WINDOW_SLOTS) * SLOT_MS;
}
