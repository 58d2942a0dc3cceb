import { afterEach, expect, test } from 'vitest';
import { KEY, start, stopAll } from './support/running.ts';

afterEach(stopAll);

test('why a replica is started shows with it, also while an action after it still waits for its answer', async () => {
  const { world, autoscaler, orders } = await start();
  await world.clock.advance(0);
  let answer = (): void => undefined;
  world.setSoonSlots = () =>
    new Promise((resolve) => {
      answer = resolve;
    });
  await orders.set(KEY, { wakeUntilEpochMs: world.clock.epochMs() + 600_000, wakeReplicas: 1 });
  await world.clock.advance(100);
  expect(world.boots).toBe(1);
  expect(autoscaler.status(KEY)).toMatchObject({
    phase: 'Waking',
    desiredReplicas: 1,
    lastDecision: { rule: 'manual' },
  });
  answer();
});

test('an order that is there before the first look is followed at once', async () => {
  const { world, autoscaler, orders, lead } = await start();
  await autoscaler.stop();
  await orders.set(KEY, { wakeUntilEpochMs: world.clock.epochMs() + 600_000, wakeReplicas: 1 });
  const next = await lead();
  await world.clock.advance(0);
  expect(next.status(KEY)).toMatchObject({ phase: 'Waking', desiredReplicas: 1 });
});
