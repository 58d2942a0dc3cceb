import fc from 'fast-check';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MemoryLedgerStore } from '../../src/queue/adapters/ledger/memory-ledger-store.ts';
import { RedisLedgerStore } from '../../src/queue/adapters/ledger/redis-ledger-store.ts';
import type { LedgerOp, TurnResult } from '../../src/queue/policy/ledger/ops.ts';
import { type Step, Story, stepArbitrary } from '../support/ledger-script.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
let subscriber: Redis;
beforeAll(() => {
  subscriber = new Redis(redis.url);
});
afterAll(() => subscriber.disconnect());

test('the Redis ledger answers every turn of a random story as the specification does', {
  timeout: 120_000,
}, async () => {
  let stories = 0;
  const property = fc.asyncProperty(fc.array(stepArbitrary, { maxLength: 120, size: 'max' }), async (steps) => {
    stories += 1;
    const story: { nowUs: number } = { nowUs: 0 };
    const nowUs = () => story.nowUs;
    const memory = new MemoryLedgerStore(nowUs);
    const pool = `ns/pool-${stories}`;
    const inRedis = new RedisLedgerStore({
      command: redis.client,
      subscriber,
      keyPrefix: redis.prefix,
      installation: 'i',
      pool,
      nowUs,
    });
    await inRedis.runId();
    const played = new Story([memory, inRedis], (results, ops, step) => expectEqual(results, ops, step));
    Object.defineProperty(story, 'nowUs', { get: () => played.nowUs });
    await played.play(steps);
  });
  await fc.assert(property, { numRuns: 400, endOnFailure: false });
});

function expectEqual(results: readonly TurnResult[], ops: readonly LedgerOp[], step: Step | null): void {
  const [memory, inRedis] = results.map(comparable);
  expect(inRedis, `${JSON.stringify(step)} ${JSON.stringify(ops)}`).toEqual(memory);
}

/** Evictions of one turn come in no particular order. */
function comparable(result: TurnResult) {
  if (result.kind === 'stale') return result;
  const evictions = [...result.mail.evictions].sort((a, b) => (a.id < b.id ? -1 : 1));
  return { ...result, mail: { ...result.mail, evictions } };
}
