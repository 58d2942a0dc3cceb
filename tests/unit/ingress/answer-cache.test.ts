import { expect, test } from 'vitest';
import {
  AnswerCache,
  type AnswerCacheOptions,
  TOKEN_CACHE_OPTIONS,
} from '../../../src/ingress/adapters/answer-cache.ts';
import type { TokenAnswer } from '../../../src/ingress/ports.ts';
import { FakeClock } from '../../support/fake-clock.ts';

type Answer = TokenAnswer<string>;

const DOWN: Answer = { kind: 'unavailable', why: 'nobody answers' };
const REFUSED: Answer = { kind: 'refused', why: 'has expired' };

function accepted(subject: string, expiresAtEpochMs: number | null = null): Answer {
  return { kind: 'accepted', subject, expiresAtEpochMs };
}

/** A cache over somebody who says what the test lets him say. */
function world(options: Partial<AnswerCacheOptions> = {}) {
  const clock = new FakeClock();
  const outcomes: string[] = [];
  const cache = new AnswerCache<string>(clock, {
    ...TOKEN_CACHE_OPTIONS,
    onAnswer: (outcome) => outcomes.push(outcome),
    ...options,
  });
  const state = { says: accepted('ann'), asked: 0 };
  const ask = (question = 'token') =>
    cache.answer(question, () => {
      state.asked += 1;
      return Promise.resolve(state.says);
    });
  return { clock, cache, state, ask, outcomes };
}

test('an accepted answer is given at once for a minute, then asked for again', async () => {
  const { clock, state, ask } = world();
  expect(await ask()).toEqual(accepted('ann'));
  await clock.advance(59_999);
  expect(ask()).toEqual(accepted('ann'));
  await clock.advance(1);
  state.says = REFUSED;
  expect(await ask()).toEqual(REFUSED);
  expect(state.asked).toBe(2);
});

test('a token is not believed beyond its own end, not even while nobody can be asked', async () => {
  const { clock, state, ask } = world();
  state.says = accepted('ann', clock.epochMs() + 20_000);
  await ask();
  await clock.advance(20_000);
  state.says = DOWN;
  expect(await ask()).toEqual(DOWN);
});

test('a refusal is remembered for ten seconds', async () => {
  const { clock, state, ask } = world();
  state.says = REFUSED;
  await ask();
  state.says = accepted('ann');
  await clock.advance(9_999);
  expect(ask()).toEqual(REFUSED);
  await clock.advance(1);
  expect(await ask()).toEqual(accepted('ann'));
});

test('while nobody can be asked the last accepted answer holds for a quarter of an hour, asked for every five seconds', async () => {
  const { clock, state, ask, outcomes } = world();
  await ask();
  state.says = DOWN;
  await clock.advance(60_000);
  expect(await ask()).toEqual(accepted('ann'));
  expect(ask()).toEqual(accepted('ann'));
  expect(state.asked).toBe(2);
  await clock.advance(5_000);
  await ask();
  expect(state.asked).toBe(3);
  await clock.advance(15 * 60_000 - 65_000);
  expect(await ask()).toEqual(DOWN);
  expect(outcomes).toEqual(['accepted', 'stale', 'stale', 'unavailable']);
});

test('equal questions on their way at one time are one question', async () => {
  const { state, ask } = world();
  const answers = await Promise.all([ask(), ask(), ask()].map(async (asking) => asking));
  expect(answers).toEqual([accepted('ann'), accepted('ann'), accepted('ann')]);
  expect(state.asked).toBe(1);
});

test('more questions at one time than the limit are answered "unavailable", and asked later', async () => {
  const { ask } = world({ maxAsking: 2 });
  const first = [ask('a'), ask('b')];
  expect(ask('c')).toMatchObject({ kind: 'unavailable' });
  for (const asking of first) await asking;
  expect(await ask('c')).toEqual(accepted('ann'));
});

test('the answer used longest ago is forgotten first, and there are never more than the limit', async () => {
  const { cache, state, ask } = world({ maxEntries: 2 });
  await ask('a');
  await ask('b');
  await ask('a');
  await ask('c');
  expect(cache.size).toBe(2);
  expect(state.asked).toBe(3);
  await ask('a');
  expect(state.asked).toBe(3);
  await ask('b');
  expect(state.asked).toBe(4);
});

test('an unavailable answer is not remembered for a token that nobody has accepted', async () => {
  const { state, ask, cache } = world();
  state.says = DOWN;
  await ask();
  expect(cache.size).toBe(0);
  state.says = accepted('ann');
  expect(await ask()).toEqual(accepted('ann'));
});
