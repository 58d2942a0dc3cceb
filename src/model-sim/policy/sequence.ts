import type { KvAllocation } from './kv-cache.ts';

export type FinishReason = 'stop' | 'length' | 'abort';

/** What is known of a sequence before it runs. */
export interface SequenceSpec {
  /** At least 1. */
  readonly promptTokens: number;
  /** One key for each full block of the prompt; see `blockHashes`. */
  readonly blockHashes: readonly number[];
  /** Tokens that it will generate; 0 = an embedding, done when its prompt is computed. */
  readonly outputTokens: number;
  /** How it will end if nothing ends it before. */
  readonly endsBy: 'stop' | 'length';
  readonly adapter: string | null;
}

/**
 * One prompt on its way through the engine. All times are the engine's milliseconds.
 *
 * | state | leaves to |
 * | --- | --- |
 * | waiting | running (blocks and a place in the batch are free), finished (aborted) |
 * | running | waiting (preempted: blocks ran out), finished |
 * | finished | – |
 */
export interface Sequence {
  readonly spec: SequenceSpec;
  readonly arrivedAtMs: number;
  state: 'waiting' | 'running' | 'finished';
  finishReason: FinishReason | null;
  kv: KvAllocation | null;
  /** Prompt and generated tokens whose keys and values are in memory now. */
  computedTokens: number;
  generatedTokens: number;
  /** Tokens that the present step computes for it. */
  stepTokens: number;
  /** Prompt tokens that it found in the cache when it first ran. */
  cachedTokens: number;
  preemptions: number;
  /** −1 until it happens. */
  scheduledAtMs: number;
  firstTokenAtMs: number;
  lastTokenAtMs: number;
  finishedAtMs: number;
  /** Between its last token and the one before; 0 before the second token. */
  lastGapMs: number;
}

export function waitingSequence(spec: SequenceSpec, nowMs: number): Sequence {
  return {
    spec,
    arrivedAtMs: nowMs,
    state: 'waiting',
    finishReason: null,
    kv: null,
    computedTokens: 0,
    generatedTokens: 0,
    stepTokens: 0,
    cachedTokens: 0,
    preemptions: 0,
    scheduledAtMs: -1,
    firstTokenAtMs: -1,
    lastTokenAtMs: -1,
    finishedAtMs: -1,
    lastGapMs: 0,
  };
}

/** Tokens still to be computed before the next one can be generated. */
export function uncomputedTokens(sequence: Sequence): number {
  return sequence.spec.promptTokens + sequence.generatedTokens - sequence.computedTokens;
}

/** True once the prompt is computed: each step then costs one token. A preempted sequence computes all again. */
export function isDecoding(sequence: Sequence): boolean {
  return sequence.generatedTokens > 0 && uncomputedTokens(sequence) === 1;
}

/** Notes that a token appeared at `nowMs`. */
export function noteToken(sequence: Sequence, nowMs: number): void {
  if (sequence.generatedTokens === 0) sequence.firstTokenAtMs = nowMs;
  else sequence.lastGapMs = nowMs - sequence.lastTokenAtMs;
  sequence.generatedTokens += 1;
  sequence.lastTokenAtMs = nowMs;
}

/** True when it has all its tokens; an embedding needs none. */
export function isComplete(sequence: Sequence): boolean {
  return sequence.generatedTokens >= sequence.spec.outputTokens;
}
