import { scramble } from './text-hash.ts';

/**
 * Spread of the drawn lengths: the standard deviation of their natural logarithm. In the Azure conversation trace of 2023
 * (Patel et al., Splitwise, ISCA 2024) it is 0.8, taken as ln(p90/p10) / (2 × 1.2816) of GeneratedTokens.
 */
export const OUTPUT_LENGTH_LOG_SPREAD = 0.8;

export interface LengthWishes {
  readonly maxTokens: number;
  readonly minTokens: number;
  readonly ignoreEos: boolean;
}

export interface OutputLength {
  readonly tokens: number;
  readonly endsBy: 'stop' | 'length';
}

/**
 * How long the answer with this seed is. `ignoreEos` fixes it to `maxTokens`; else it is drawn, log-normal around the
 * median, always the same for the same seed.
 */
export function outputLength(wishes: LengthWishes, medianTokens: number, seed: number): OutputLength {
  if (wishes.ignoreEos) return { tokens: wishes.maxTokens, endsBy: 'length' };
  const drawn = Math.round(medianTokens * Math.exp(OUTPUT_LENGTH_LOG_SPREAD * standardNormal(seed)));
  const tokens = Math.max(1, wishes.minTokens, drawn);
  return tokens <= wishes.maxTokens ? { tokens, endsBy: 'stop' } : { tokens: wishes.maxTokens, endsBy: 'length' };
}

/** A draw from N(0, 1) that depends on the seed alone (Box and Muller, 1958). */
function standardNormal(seed: number): number {
  const first = ((scramble(seed ^ 0x5bd1e995) >>> 0) + 1) / 4_294_967_297;
  const second = (scramble(seed ^ 0x1b873593) >>> 0) / 4_294_967_296;
  return Math.sqrt(-2 * Math.log(first)) * Math.cos(2 * Math.PI * second);
}
