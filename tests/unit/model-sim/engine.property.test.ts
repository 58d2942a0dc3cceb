import fc from 'fast-check';
import { expect, test } from 'vitest';
import { engineWith } from './drive.ts';

const BLOCK_TOKENS = 4;
const BLOCKS = 12;

/** A prompt and answer that fit the memory alone, which is what the engine asks of its caller. */
const request = fc
  .record({
    family: fc.integer({ min: 0, max: 2 }),
    promptTokens: fc.integer({ min: 1, max: 30 }),
    outputTokens: fc.integer({ min: 0, max: 18 }),
    adapter: fc.constantFrom(null, 'a', 'b', 'c'),
  })
  .map(({ family, promptTokens, outputTokens, adapter }) => ({
    promptTokens,
    outputTokens,
    adapter,
    endsBy: 'length' as const,
    blockHashes: Array.from({ length: Math.floor(promptTokens / BLOCK_TOKENS) }, (_, block) => family * 1_000 + block),
  }));

const action = fc.oneof(
  { weight: 3, arbitrary: request.map((spec) => ({ kind: 'submit' as const, spec })) },
  { weight: 5, arbitrary: fc.constant({ kind: 'step' as const }) },
  { weight: 1, arbitrary: fc.nat().map((pick) => ({ kind: 'abort' as const, pick })) },
);

test('whatever comes, every sequence ends once with its tokens, memory is never overdrawn, and all of it comes back', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 120 }), fc.integer({ min: 1, max: 40 }), (actions, maxBatchedTokens) => {
      const engine = engineWith({ blocks: BLOCKS, blockSizeTokens: BLOCK_TOKENS, maxBatchedTokens, maxSequences: 4 });
      const all: NonNullable<ReturnType<typeof engine.submit>> = [];
      const finished: unknown[] = [];
      let nowMs = 0;
      const step = (): boolean => {
        const endsAtMs = engine.beginStep(nowMs);
        if (endsAtMs === null) return false;
        expect(endsAtMs).toBeGreaterThan(nowMs);
        expect(engine.kv.usedBlocks).toBeLessThanOrEqual(BLOCKS);
        expect(engine.runningSequences).toBeLessThanOrEqual(4);
        expect(engine.adapters('running').length).toBeLessThanOrEqual(2);
        nowMs = endsAtMs;
        const report = engine.completeStep(nowMs);
        expect(report.computedTokens).toBeLessThanOrEqual(maxBatchedTokens);
        finished.push(...report.finished);
        return true;
      };
      for (const next of actions) {
        if (next.kind === 'submit') all.push(...(engine.submit([next.spec], nowMs) ?? []));
        else if (next.kind === 'step') step();
        else {
          const victim = all[next.pick % Math.max(1, all.length)];
          if (victim !== undefined) engine.abort(victim, nowMs);
        }
      }
      let steps = 0;
      while (step()) expect((steps += 1)).toBeLessThan(20_000);
      expect(new Set(finished).size).toBe(finished.length);
      for (const sequence of all) {
        expect(sequence.state).toBe('finished');
        if (sequence.finishReason !== 'abort') expect(sequence.generatedTokens).toBe(sequence.spec.outputTokens);
        expect(sequence.finishedAtMs).toBeGreaterThanOrEqual(sequence.arrivedAtMs);
      }
      expect(engine.kv.usedBlocks).toBe(0);
      expect([engine.runningSequences, engine.waitingSequences]).toEqual([0, 0]);
    }),
    { numRuns: 300 },
  );
});
