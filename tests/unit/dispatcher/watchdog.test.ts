import { expect, test } from 'vitest';
import { Watchdog } from '../../../src/dispatcher/watchdog.ts';
import { FakeClock } from '../../support/fake-clock.ts';

test('one timer serves all, and none runs when nothing is watched', async () => {
  const clock = new FakeClock(0);
  const watchdog = new Watchdog(clock);
  const swept: string[] = [];
  const items = ['a', 'b'].map((name) => ({ sweep: () => void swept.push(name) }));
  for (const item of items) watchdog.watch(item);
  expect(clock.sleeping).toBe(1);
  await clock.advance(50);
  expect(swept).toEqual(['a', 'b']);
  for (const item of items) watchdog.unwatch(item);
  await clock.advance(1_000);
  expect(clock.sleeping).toBe(0);
  expect(swept).toEqual(['a', 'b']);
  watchdog.watch({ sweep: () => void swept.push('c') });
  await clock.advance(50);
  expect(swept).toEqual(['a', 'b', 'c']);
  watchdog.close();
  await clock.advance(50);
  expect(clock.sleeping).toBe(0);
});
