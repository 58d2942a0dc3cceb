/**
 * How long one engine step takes. A step computes `prefillTokens` prompt tokens and one token for each of
 * `decodeSequences` sequences in a single forward pass, as continuous batching with chunked prefill does:
 *
 *   stepMs = slowFactor × (decodeBaseMs + decodePerSequenceMs × decodeSequences + 1000 × prefillTokens / prefillTokensPerSecond)
 *
 * The base is what reading the weights once costs; it is paid by every step, however small.
 */
export interface TimeModel {
  /** 0 = prompts cost nothing. */
  readonly prefillTokensPerSecond: number;
  readonly decodeBaseMs: number;
  readonly decodePerSequenceMs: number;
}

export interface StepWork {
  readonly prefillTokens: number;
  readonly decodeSequences: number;
}

/** Milliseconds, at least 0. */
export function stepDurationMs(time: TimeModel, work: StepWork, slowFactor: number): number {
  const prefillMs = time.prefillTokensPerSecond === 0 ? 0 : (1_000 * work.prefillTokens) / time.prefillTokensPerSecond;
  return slowFactor * (time.decodeBaseMs + time.decodePerSequenceMs * work.decodeSequences + prefillMs);
}

/** The same engine `speed` times as fast. */
export function sped(time: TimeModel, speed: number): TimeModel {
  return {
    prefillTokensPerSecond: time.prefillTokensPerSecond * speed,
    decodeBaseMs: time.decodeBaseMs / speed,
    decodePerSequenceMs: time.decodePerSequenceMs / speed,
  };
}
