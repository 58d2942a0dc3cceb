import { expect, test } from 'vitest';
import type { Catalog } from '../../../src/core/objects.ts';
import { PausedObjectives } from '../../../src/roles/paused-objectives.ts';
import { FakeClock } from '../../support/fake-clock.ts';

function world(declared: readonly string[], answers: readonly (readonly string[] | Error)[]) {
  const clock = new FakeClock();
  let asked = 0;
  const paused = new PausedObjectives({
    catalog: { current: () => ({ objective: (_pool, name) => ({ paused: declared.includes(name) }) }) as Catalog },
    orderOf: () => ({
      pausedObjectives() {
        const answer = answers[Math.min(asked, answers.length - 1)] ?? [];
        asked += 1;
        return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
      },
    }),
    clock,
  });
  return { clock, paused, asked: () => asked };
}

const POOL = 'default/chat';

test('a policy pauses at once', () => {
  const { paused } = world(['nightly'], [[]]);
  expect(paused.isPaused(POOL, 'nightly')).toBe(true);
  expect(paused.isPaused(POOL, 'chat')).toBe(false);
});

test('an operator is heard with the next look, and asked for at most every two seconds', async () => {
  const { clock, paused, asked } = world([], [['nightly'], []]);
  expect(paused.isPaused(POOL, 'nightly')).toBe(false);
  await clock.advance(1_999);
  expect(paused.isPaused(POOL, 'nightly')).toBe(true);
  expect(asked()).toBe(1);
  await clock.advance(1);
  paused.isPaused(POOL, 'nightly');
  await clock.advance(1);
  expect(paused.isPaused(POOL, 'nightly')).toBe(false);
  expect(asked()).toBe(2);
});

test('while the order is away, what was known holds', async () => {
  const { clock, paused } = world([], [['nightly'], new Error('Redis is away')]);
  paused.isPaused(POOL, 'nightly');
  await clock.advance(2_000);
  paused.isPaused(POOL, 'nightly');
  await clock.advance(2_000);
  expect(paused.isPaused(POOL, 'nightly')).toBe(true);
});
