import { expect, test } from 'vitest';
import type { StoredOutcome } from '../../../../src/core/live-order.ts';
import { sweepPool } from '../../../../src/queue/jobs/pool-sweeps.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { silentLogger } from '../../../support/silent-logger.ts';

test('of the jobs that come back from a lost lock, those that have their outcome leave the backlog', async () => {
  const removed: string[] = [];
  const ended = new AbortController();
  const lane = {
    ledger: {
      pool: 'pool',
      outcomes: (ids: readonly string[]) =>
        Promise.resolve(ids.map((id) => (id === 'job-ended' ? ({ atEpochMs: 1 } as StoredOutcome) : null))),
      overdue: () => Promise.resolve([]),
    },
    backlog: {
      objectives: () => Promise.resolve(['nightly']),
      recoverStalled: () => Promise.resolve(['job-waiting', 'job-ended']),
      remove: (id: string) => {
        removed.push(id);
        ended.abort();
        return Promise.resolve();
      },
    },
  };
  const meter = { held: () => undefined, recovered: () => undefined };
  const deps = { clock: new FakeClock(), log: silentLogger, meter };
  const given = [deps, lane, { held: 0, objectives: () => [] }] as unknown as Parameters<typeof sweepPool>;
  await sweepPool(given[0], given[1], given[2], ended.signal);
  expect(removed).toEqual(['job-ended']);
});
