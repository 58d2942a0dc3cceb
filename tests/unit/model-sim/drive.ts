import { Engine, type EngineConfig } from '../../../src/model-sim/policy/engine.ts';
import type { Sequence, SequenceSpec } from '../../../src/model-sim/policy/sequence.ts';

/** 1 ms a prompt token, 10 ms a step, 1 ms a decoding sequence: sums that a reader can check in the head. */
export function engineWith(changes: Partial<EngineConfig> = {}): Engine {
  return new Engine({
    maxSequences: 8,
    maxBatchedTokens: 1_000,
    maxQueuedRequests: 0,
    maxAdapters: 2,
    blockSizeTokens: 4,
    blocks: 1_000,
    prefixCaching: true,
    time: { prefillTokensPerSecond: 1_000, decodeBaseMs: 10, decodePerSequenceMs: 1 },
    ...changes,
  });
}

export function spec(changes: Partial<SequenceSpec> = {}): SequenceSpec {
  return { promptTokens: 8, blockHashes: [], outputTokens: 3, endsBy: 'length', adapter: null, ...changes };
}

export function submitOne(engine: Engine, changes: Partial<SequenceSpec> = {}, nowMs = 0): Sequence {
  const [sequence] = engine.submit([spec(changes)], nowMs) ?? [];
  if (sequence === undefined) throw new Error('the engine refused the sequence');
  return sequence;
}

/** Runs steps one after the other until the engine is idle. Returns when the last one ended, and each step's length. */
export function runUntilIdle(engine: Engine, fromMs = 0): { endedAtMs: number; stepsMs: number[] } {
  const stepsMs: number[] = [];
  let nowMs = fromMs;
  for (;;) {
    const endsAtMs = engine.beginStep(nowMs);
    if (endsAtMs === null) return { endedAtMs: nowMs, stepsMs };
    if (stepsMs.length > 100_000) throw new Error('the engine does not come to rest');
    stepsMs.push(endsAtMs - nowMs);
    nowMs = endsAtMs;
    engine.completeStep(nowMs);
  }
}
