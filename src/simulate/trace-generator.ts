import type { Random } from '../core/random.ts';
import type { TraceRequest } from './trace.ts';
import {
  AZURE_CONVERSATION,
  CONTEXT_TOKENS,
  GAP_SHAPE,
  GENERATED_AT,
  GENERATED_TOKENS_BY_CONTEXT,
  LOG_RATE_VARIANCE,
  type QuantileTable,
  RATE_MEMORY_S,
} from './trace-statistics.ts';

export interface TraceShape {
  /** How many requests; Infinity = until the caller stops. */
  readonly requests: number;
  /**
   * Mean arrivals a second. The Azure trace has 5.53; another rate is the same trace played faster or slower, so that
   * its bursts and lulls keep their shape and shrink or stretch in time. Default 5.53.
   */
  readonly ratePerSecond?: number;
}

/**
 * Requests that arrive and weigh like the Azure conversation trace of 2023: gaps of a Weibull distribution under a
 * slowly wandering rate (an Ornstein–Uhlenbeck process in its logarithm, begun at the mean), context tokens from
 * the measured quantiles, generated tokens from those of the same twentieth of contexts. Not modelled: that the mix of
 * short and long requests drifts over the hour. The same draws give the same trace.
 */
export function* generateTrace(shape: TraceShape, random: Random): Generator<TraceRequest> {
  const ratePerSecond = shape.ratePerSecond ?? AZURE_CONVERSATION.ratePerSecond;
  const memoryS = (RATE_MEMORY_S * AZURE_CONVERSATION.ratePerSecond) / ratePerSecond;
  let arrivalS = 0;
  let logRate = 0;
  for (let made = 0; made < shape.requests; made += 1) {
    const gapS = unitGap(random) / (ratePerSecond * Math.exp(logRate - LOG_RATE_VARIANCE / 2));
    arrivalS += gapS;
    const kept = Math.exp(-gapS / memoryS);
    logRate = logRate * kept + Math.sqrt(LOG_RATE_VARIANCE * (1 - kept * kept)) * standardNormal(random);
    yield { arrivalMs: arrivalS * 1_000, ...tokens(random) };
  }
}

function tokens(random: Random): { contextTokens: number; generatedTokens: number } {
  const rank = random.next();
  const band = Math.floor(rank * GENERATED_TOKENS_BY_CONTEXT.length);
  const generated = { at: GENERATED_AT, value: GENERATED_TOKENS_BY_CONTEXT[band] ?? [] };
  return {
    contextTokens: Math.round(quantile(CONTEXT_TOKENS, rank)),
    generatedTokens: Math.round(quantile(generated, random.next())),
  };
}

/** The value below which `share` (0..1) of the requests lie; straight lines between the rows of the table. */
export function quantile({ at, value }: QuantileTable, share: number): number {
  const after = Math.max(
    1,
    at.findIndex((row) => row >= share),
  );
  const [lowAt = 0, highAt = 1] = [at[after - 1], at[after]];
  const [low = 0, high = 0] = [value[after - 1], value[after]];
  return low + ((high - low) * (share - lowAt)) / (highAt - lowAt);
}

/** A Weibull draw with mean 1, by inversion. */
function unitGap(random: Random): number {
  return (-Math.log(1 - random.next())) ** (1 / GAP_SHAPE) / MEAN_OF_UNSCALED_GAP;
}

/** Γ(1 + 1 / 0.96). */
const MEAN_OF_UNSCALED_GAP = 1.0183;

/** Box and Muller, 1958. */
function standardNormal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
}
