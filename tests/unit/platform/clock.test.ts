import { expect, test } from 'vitest';
import { systemClock } from '../../../src/platform/clock.ts';

test('a sleep that is aborted rejects with the reason of the signal', async () => {
  const stop = new AbortController();
  const sleeping = systemClock.sleep(60_000, stop.signal);
  stop.abort(new Error('shutting down'));
  await expect(sleeping).rejects.toThrow('shutting down');
});
