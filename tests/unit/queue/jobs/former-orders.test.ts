import { expect, test } from 'vitest';
import { type FormerState, watchFormerOrders } from '../../../../src/queue/jobs/former-orders.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { silentLogger } from '../../../support/silent-logger.ts';

/** Plays what is found at each look; answers with what was done. */
async function watch(found: readonly FormerState[], mayClaim = true): Promise<readonly string[]> {
  const clock = new FakeClock();
  const done: string[] = [];
  const ended = new AbortController();
  let looks = 0;
  const order = {
    look() {
      const state = found[Math.min(looks, found.length - 1)] ?? 'none';
      looks += 1;
      if (looks > found.length) ended.abort();
      return Promise.resolve(state);
    },
    claim: () => Promise.resolve(mayClaim),
    end() {
      done.push('end');
      return Promise.resolve(0);
    },
  };
  const reconcile = () => Promise.resolve(done.push('reconcile'));
  const watching = watchFormerOrders(
    { pool: 'ns/p', orders: [order], reconcile, clock, log: silentLogger },
    ended.signal,
  );
  while (!ended.signal.aborted) {
    await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(5_000);
  }
  await watching;
  return done;
}

test.each<[string, readonly FormerState[], boolean, readonly string[]]>([
  ['without an earlier order nothing is done', ['none', 'none'], true, []],
  ['while its gateways live, the store is compared', ['alive', 'none'], true, ['reconcile']],
  ['when they have gone, it is compared once more and removed', ['left', 'left', 'none'], true, ['reconcile', 'end']],
  ['one that came back meanwhile is left alone', ['left', 'alive', 'none'], true, ['reconcile']],
  ['what another gateway does is not done twice', ['alive', 'left', 'none'], false, []],
])('%s', async (_what, found, mayClaim, expected) => {
  expect(await watch(found, mayClaim)).toEqual(expected);
});

test('a reconcile that does not end holds no stop up', async () => {
  const ended = new AbortController();
  const order = {
    look: () => Promise.resolve('alive' as const),
    claim: () => Promise.resolve(true),
    end: () => Promise.resolve(0),
  };
  const reconcile = () => {
    setImmediate(() => ended.abort());
    return new Promise(() => undefined);
  };
  const deps = { pool: 'ns/p', orders: [order], reconcile, clock: new FakeClock(), log: silentLogger } as const;
  await watchFormerOrders(deps, ended.signal);
  expect(ended.signal.aborted).toBe(true);
});
