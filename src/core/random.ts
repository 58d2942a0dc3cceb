/** Random draws, handed in so that a decision or a simulation can be repeated. */
export interface Random {
  /** A number in [0, 1). */
  next(): number;
}

/** The same sequence for the same seed (mulberry32, public domain, T. Ettinger 2017). */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return {
    next() {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
    },
  };
}
