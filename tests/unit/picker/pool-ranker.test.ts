import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { seededRandom } from '../../../src/core/random.ts';
import { BLOCK_CHARS } from '../../../src/picker/policy/prefix-index.ts';
import { compileProfile, DEFAULT_PROFILE, type Profile } from '../../../src/picker/policy/profile.ts';
import { PoolRanker } from '../../../src/picker/pool-ranker.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { endpoint, engineMetrics, FakeDirectory, inferenceCall, POOL, testHash } from './support.ts';

let clock: FakeClock;
let directory: FakeDirectory;
let ranker: PoolRanker;

function profileOf(): Profile {
  const compiled = compileProfile(DEFAULT_PROFILE);
  if (!compiled.ok) throw new Error(compiled.problems.join());
  return compiled.profile;
}

const longPrompt = (letter: string): string => letter.repeat(BLOCK_CHARS * 8);
const observe = (endpointId: string, waitingRequests: number, startedAtMonotonicMs = clock.monotonicMs()): void =>
  ranker.observe({
    endpointId,
    metrics: engineMetrics({ waitingRequests }),
    startedAtEpochMs: startedAtMonotonicMs,
    startedAtMonotonicMs,
  });

beforeEach(() => {
  clock = new FakeClock(1_000);
  directory = new FakeDirectory([endpoint('a'), endpoint('b')]);
  ranker = new PoolRanker({
    pool: POOL,
    directory,
    profile: profileOf(),
    hash: testHash,
    clock,
    random: seededRandom(1),
  });
});

afterEach(() => {
  ranker.close();
  expect(directory.listeners).toBe(0);
});

describe('load', () => {
  test('a call in flight counts from the moment it is sent until it ends', () => {
    const call = inferenceCall();
    ranker.started(call, 'a');
    expect(ranker.inFlight('a')).toBe(1);
    expect(ranker.rank(inferenceCall())).toEqual(['b', 'a']);
    ranker.finished(call, 'a', 'ok');
    ranker.finished(call, 'a', 'ok');
    expect(ranker.inFlight('a')).toBe(0);
  });

  test("the engine's queue counts while its scrape is fresh", async () => {
    observe('a', 5);
    observe('b', 0);
    expect(ranker.rank(inferenceCall())).toEqual(['b', 'a']);
    await clock.advance(6_000);
    const totals = ranker.explain(inferenceCall()).map(({ total }) => total);
    expect(totals[0]).toBe(totals[1]);
  });

  test('an older scrape does not replace a newer one', () => {
    observe('a', 0, 1_000);
    observe('b', 0, 1_000);
    observe('a', 9, 500);
    const totals = ranker.explain(inferenceCall()).map(({ total }) => total);
    expect(totals[0]).toBe(totals[1]);
  });
});

describe('prefix locality', () => {
  test('the next turn of a chat goes where the last one went, also when both are ranked at once', () => {
    const first = inferenceCall({ prompt: longPrompt('a') });
    const [chosen = ''] = ranker.rank(first);
    ranker.started(first, chosen);
    const next = inferenceCall({ prompt: `${longPrompt('a')}${longPrompt('b')}` });
    const prefixScore = ranker
      .explain(next)
      .map(({ endpointId, scores }) => [endpointId, scores.find(({ type }) => type === 'prefix-cache-scorer')?.score]);
    expect(Object.fromEntries(prefixScore)).toMatchObject({ [chosen]: 0.5 });
  });

  test('what a lone endpoint answered is known when a second one comes', () => {
    directory.set(endpoint('a'));
    const call = inferenceCall({ prompt: longPrompt('a') });
    expect(ranker.rank(call)).toEqual(['a']);
    ranker.started(call, 'a');
    ranker.finished(call, 'a', 'ok');
    directory.set(endpoint('a'), endpoint('b'));
    expect(ranker.rank(inferenceCall({ prompt: longPrompt('a') }))[0]).toBe('a');
  });

  test('a lone endpoint is not made to read the prompt before it answers', () => {
    directory.set(endpoint('a'));
    let read = 0;
    const call = inferenceCall({
      promptText: () => {
        read += 1;
        return 'x';
      },
    });
    ranker.rank(call);
    ranker.started(call, 'a');
    expect(read).toBe(0);
  });

  test('the prompt is read once however often the call is ranked', () => {
    let read = 0;
    const call = inferenceCall({
      promptText: () => {
        read += 1;
        return longPrompt('a');
      },
    });
    ranker.rank(call);
    ranker.rank(call);
    ranker.started(call, 'a');
    ranker.finished(call, 'a', 'ok');
    expect(read).toBe(1);
  });
});

describe('availability', () => {
  test('an endpoint that fails twice in a row is passed over for a while', async () => {
    for (let times = 0; times < 2; times += 1) {
      const call = inferenceCall();
      ranker.started(call, 'a');
      ranker.finished(call, 'a', 'failed');
    }
    expect(ranker.rank(inferenceCall())).toEqual(['b']);
    await clock.advance(2_500);
    expect(ranker.rank(inferenceCall())).toHaveLength(2);
  });

  test('when all fail, one of them is still tried', () => {
    for (const id of ['a', 'a', 'b', 'b']) {
      ranker.started(inferenceCall(), id);
      ranker.finished(inferenceCall(), id, 'failed');
    }
    expect(ranker.rank(inferenceCall())).toHaveLength(2);
  });

  test('a draining endpoint is left out, also when it is the only one', () => {
    directory.set(endpoint('a', { draining: true }), endpoint('b'));
    expect(ranker.rank(inferenceCall())).toEqual(['b']);
    directory.set(endpoint('a', { draining: true }));
    expect(ranker.rank(inferenceCall())).toEqual([]);
  });

  test('what is known of an endpoint outlives a change of the others, and goes with it', () => {
    ranker.started(inferenceCall(), 'a');
    directory.set(endpoint('a'), endpoint('c'));
    expect(ranker.inFlight('a')).toBe(1);
    directory.set(endpoint('c'));
    directory.set(endpoint('a'), endpoint('c'));
    expect(ranker.inFlight('a')).toBe(0);
    ranker.finished(inferenceCall(), 'gone', 'ok');
  });

  test('no endpoints, no ranking', () => {
    directory.set();
    expect(ranker.rank(inferenceCall())).toEqual([]);
  });
});
