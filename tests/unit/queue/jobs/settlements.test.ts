import { expect, test } from 'vitest';
import type { JobHint, JobIndex } from '../../../../src/queue/jobs/ports.ts';
import { Settlements } from '../../../../src/queue/jobs/settlements.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { silentLogger } from '../../../support/silent-logger.ts';

function open() {
  const clock = new FakeClock();
  const expired: string[][] = [];
  const hints: JobHint[] = [];
  let hear: (hint: JobHint) => void = () => undefined;
  const redis = { isDown: false };
  const index: JobIndex = {
    put: () => Promise.resolve(),
    get: () => Promise.resolve(null),
    missing: () => Promise.resolve(new Set()),
    expire: (ids) => {
      if (redis.isDown) return Promise.reject(new Error('away'));
      expired.push([...ids]);
      return Promise.resolve();
    },
  };
  const settlements = new Settlements({
    index,
    hints: {
      publish: (hint) => hints.push(hint),
      onHint: (listener) => {
        hear = listener;
        return () => undefined;
      },
    },
    clock,
    log: silentLogger,
    retentionMs: 1_000,
  });
  return { clock, settlements, expired, hints, redis, hear: (hint: JobHint) => hear(hint) };
}

test('jobs that end together share one round trip and one message', async () => {
  const { clock, settlements, expired, hints } = open();
  for (const id of ['job-a', 'job-b', 'job-c']) settlements.ended(id);
  await clock.advance(10);
  expect(expired).toEqual([['job-a', 'job-b', 'job-c']]);
  expect(hints).toEqual([{ kind: 'settled', ids: ['job-a', 'job-b', 'job-c'] }]);
});

test('an index entry gets its end also when Redis was away', async () => {
  const { clock, settlements, expired, redis } = open();
  redis.isDown = true;
  settlements.ended('job-a');
  await clock.advance(3_000);
  settlements.ended('job-b');
  redis.isDown = false;
  await clock.advance(3_000);
  expect(expired.flat()).toEqual(['job-a', 'job-b']);
});

test('closing does not wait for a Redis that is away', async () => {
  const { clock, settlements, redis } = open();
  redis.isDown = true;
  settlements.ended('job-a');
  const closed = settlements.close();
  await clock.advance(10);
  await closed;
});

test('whoever waits is woken by an end here and by one that another process tells', async () => {
  const { settlements, hear, clock } = open();
  const woken: string[] = [];
  const stop = settlements.onEnd('job-a', () => woken.push('here'));
  settlements.ended('job-a');
  stop();
  settlements.ended('job-a');
  settlements.onEnd('job-b', () => woken.push('elsewhere'));
  hear({ kind: 'settled', ids: ['job-b', 'job-z'] });
  await clock.advance(10);
  expect(woken).toEqual(['here', 'elsewhere']);
});
