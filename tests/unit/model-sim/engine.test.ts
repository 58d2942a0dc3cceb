import { expect, test } from 'vitest';
import { engineWith, runUntilIdle, spec, submitOne } from './drive.ts';

test('a lone sequence pays its prompt once and then one step a token', () => {
  const engine = engineWith();
  const sequence = submitOne(engine, { promptTokens: 8, outputTokens: 3 });
  const { stepsMs } = runUntilIdle(engine);
  expect(stepsMs).toEqual([10 + 8, 10 + 1, 10 + 1]);
  expect(sequence).toMatchObject({
    firstTokenAtMs: 18,
    lastTokenAtMs: 40,
    finishedAtMs: 40,
    lastGapMs: 11,
    finishReason: 'length',
  });
});

test('a prompt longer than a step goes in chunks, and running sequences decode beside it', () => {
  const engine = engineWith({ maxBatchedTokens: 10 });
  submitOne(engine, { promptTokens: 4, outputTokens: 4 });
  engine.completeStep(engine.beginStep(0) ?? 0);
  submitOne(engine, { promptTokens: 20, outputTokens: 1 });
  const { stepsMs } = runUntilIdle(engine);
  expect(stepsMs).toEqual([10 + 1 + 9, 10 + 1 + 9, 10 + 1 + 2]);
});

test('sequences beyond the batch wait in order of arrival', () => {
  const engine = engineWith({ maxSequences: 2 });
  const sequences = [1, 2, 3, 4].map(() => submitOne(engine));
  expect(engine.beginStep(0)).not.toBeNull();
  expect([engine.runningSequences, engine.waitingSequences]).toEqual([2, 2]);
  engine.completeStep(10);
  runUntilIdle(engine, 10);
  const firsts = sequences.map(({ firstTokenAtMs }) => firstTokenAtMs);
  expect(firsts).toEqual([...firsts].sort((a, b) => a - b));
  expect(firsts[2]).toBeGreaterThan(firsts[1] ?? 0);
});

test('an embedding is finished when its prompt is computed and has no tokens', () => {
  const engine = engineWith();
  const sequence = submitOne(engine, { outputTokens: 0, endsBy: 'stop' });
  expect(runUntilIdle(engine).stepsMs).toEqual([18]);
  expect(sequence).toMatchObject({ state: 'finished', finishReason: 'stop', generatedTokens: 0 });
  expect(engine.counters).toMatchObject({ promptTokens: 8, generatedTokens: 0 });
});

test('the second of two equal prompts computes only what is not cached', () => {
  const engine = engineWith();
  submitOne(engine, { promptTokens: 10, blockHashes: [11, 12], outputTokens: 1 });
  runUntilIdle(engine);
  const second = submitOne(engine, { promptTokens: 10, blockHashes: [11, 12], outputTokens: 1 });
  expect(runUntilIdle(engine).stepsMs).toEqual([10 + 2]);
  expect(second.cachedTokens).toBe(8);
  expect(engine.counters).toMatchObject({
    prefixQueriedTokens: 20,
    prefixHitTokens: 8,
    promptTokens: 20,
    promptCachedTokens: 8,
  });
});

test('of a prompt that is cached in full one block is computed again, because a token must be sampled', () => {
  const engine = engineWith();
  submitOne(engine, { promptTokens: 8, blockHashes: [1, 2], outputTokens: 1 });
  runUntilIdle(engine);
  expect(submitOne(engine, { promptTokens: 8, blockHashes: [1, 2], outputTokens: 1 })).toBeDefined();
  expect(runUntilIdle(engine).stepsMs).toEqual([10 + 4]);
});

test('without prefix caching nothing is reused or counted', () => {
  const engine = engineWith({ prefixCaching: false });
  for (const _ of [1, 2]) {
    submitOne(engine, { blockHashes: [1, 2], outputTokens: 1 });
    expect(runUntilIdle(engine).stepsMs).toEqual([18]);
  }
  expect(engine.counters).toMatchObject({ prefixQueriedTokens: 0, prefixHitTokens: 0 });
  expect(engine.kv.cachedBlocks).toBe(0);
});

test('when blocks run out the last to join is preempted, computed again and still finishes', () => {
  const engine = engineWith({ blocks: 5, blockSizeTokens: 4 });
  const first = submitOne(engine, { promptTokens: 8, outputTokens: 8 });
  const second = submitOne(engine, { promptTokens: 8, outputTokens: 8 });
  runUntilIdle(engine);
  expect(engine.counters.preemptions).toBeGreaterThan(0);
  expect(first.preemptions).toBe(0);
  expect(second.preemptions).toBeGreaterThan(0);
  expect([first.generatedTokens, second.generatedTokens]).toEqual([8, 8]);
  expect(second.finishedAtMs).toBeGreaterThan(first.finishedAtMs);
  expect(engine.kv.usedBlocks).toBe(0);
});

test('a sequence whose adapter does not fit the batch is passed over, not in the way', () => {
  const engine = engineWith({ maxAdapters: 1 });
  submitOne(engine, { adapter: 'a' });
  const deferred = submitOne(engine, { adapter: 'b' });
  const plain = submitOne(engine);
  engine.beginStep(0);
  expect(engine.deferredSequences).toBe(1);
  expect([deferred.state, plain.state]).toEqual(['waiting', 'running']);
  expect([engine.adapters('running'), engine.adapters('waiting')]).toEqual([['a'], ['b']]);
  engine.completeStep(10);
  runUntilIdle(engine, 10);
  expect(deferred.finishReason).toBe('length');
});

test('more requests than allowed are refused whole and counted once', () => {
  const engine = engineWith({ maxQueuedRequests: 3 });
  expect(engine.submit([spec(), spec()], 0)).toHaveLength(2);
  expect(engine.submit([spec(), spec()], 0)).toBeNull();
  expect(engine.submit([spec()], 0)).toHaveLength(1);
  expect(engine.counters.rejectedRequests).toBe(1);
  expect(engine.waitingSequences).toBe(3);
});

test.each(['waiting', 'running', 'preempted', 'in the middle of a step'])(
  'an abort while %s frees the blocks',
  (when) => {
    const engine = engineWith({ blocks: 5 });
    const other = submitOne(engine, { promptTokens: 8, outputTokens: 8 });
    const victim = submitOne(engine, { promptTokens: 8, outputTokens: 8 });
    let nowMs = 0;
    const step = () => {
      nowMs = engine.beginStep(nowMs) ?? nowMs;
      engine.completeStep(nowMs);
    };
    if (when === 'running') step();
    if (when === 'preempted') while (victim.preemptions === 0) step();
    if (when === 'in the middle of a step') nowMs = engine.beginStep(nowMs) ?? nowMs;
    engine.abort(victim, nowMs);
    if (when === 'in the middle of a step') engine.completeStep(nowMs);
    expect(victim).toMatchObject({ state: 'finished', finishReason: 'abort' });
    const tokensAtAbort = victim.generatedTokens;
    runUntilIdle(engine, nowMs);
    expect(victim.generatedTokens).toBe(tokensAtAbort);
    expect(other.generatedTokens).toBe(8);
    expect(engine.kv.usedBlocks).toBe(0);
  },
);

test('a slow factor stretches the steps that begin under it', () => {
  const engine = engineWith();
  submitOne(engine, { promptTokens: 8, outputTokens: 2 });
  engine.completeStep(engine.beginStep(0) ?? 0);
  engine.slowFactor = 3;
  expect(runUntilIdle(engine, 18).stepsMs).toEqual([33]);
});
