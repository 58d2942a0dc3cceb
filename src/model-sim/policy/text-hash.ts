/** Two independent 32-bit lanes of a running hash; 53 bits of them make one key. */
export interface HashState {
  readonly high: number;
  readonly low: number;
}

// FNV-1a (Fowler, Noll, Vo; public domain) gives the prime and the first offset; the second lane starts elsewhere and
// multiplies by another odd constant, so that the lanes do not collide together.
const FNV_PRIME = 0x01000193;
const FNV_OFFSET = 0x811c9dc5;
const SECOND_PRIME = 0x27d4eb2f;
const SECOND_OFFSET = 0x9e3779b9;

export const EMPTY_HASH: HashState = { high: FNV_OFFSET, low: SECOND_OFFSET };

/** `state` extended by the UTF-16 units of `text` in [start, end). Linear in their number. */
export function hashText(state: HashState, text: string, start = 0, end = text.length): HashState {
  let { high, low } = state;
  for (let at = start; at < end; at += 1) {
    const unit = text.charCodeAt(at);
    high = Math.imul(high ^ unit, FNV_PRIME);
    low = Math.imul(low ^ unit, SECOND_PRIME);
    low ^= low >>> 15;
  }
  return { high, low };
}

/** `state` extended by the token ids in [start, end). */
export function hashTokenIds(state: HashState, ids: readonly number[], start = 0, end = ids.length): HashState {
  let { high, low } = state;
  for (let at = start; at < end; at += 1) {
    const id = ids[at] ?? 0;
    high = Math.imul(high ^ id, FNV_PRIME);
    low = Math.imul(low ^ id, SECOND_PRIME);
    low ^= low >>> 15;
  }
  return { high, low };
}

/** A key for maps: an integer of 53 bits. */
export function hashKey(state: HashState): number {
  return (state.high >>> 0) * 0x20_0000 + (scramble(state.low) >>> 11);
}

/** An unsigned 32-bit number in which each bit depends on every bit of the state. */
export function hash32(state: HashState): number {
  return scramble(state.high ^ scramble(state.low)) >>> 0;
}

/** Spreads the bits of a 32-bit number (xor-shift-multiply; any odd constants do). */
export function scramble(bits: number): number {
  let mixed = Math.imul(bits ^ (bits >>> 16), 0x2c1b3c6d);
  mixed = Math.imul(mixed ^ (mixed >>> 12), 0x297a2d39);
  return mixed ^ (mixed >>> 15);
}
