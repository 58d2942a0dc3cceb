import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RedisLedgerStore } from '../../src/queue/adapters/ledger/redis-ledger-store.ts';
import type { AdmitOp, LedgerOp } from '../../src/queue/policy/ledger/ops.ts';
import { TEST_TIMING } from '../support/ledger-script.ts';
import { ROOMY_LIMITS } from '../support/live-order-builders.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
let subscriber: Redis;
beforeAll(() => {
  subscriber = new Redis(redis.url);
});
afterAll(() => subscriber.disconnect());

/** Owners that ask at the same moment, on connections of their own. */
async function owners(count: number, pool: string) {
  const made = Array.from({ length: count }, async (_, index) => {
    const command = new Redis(redis.url);
    const store = new RedisLedgerStore({ command, subscriber, keyPrefix: redis.prefix, installation: 'b', pool });
    const owner = `gw-${index}`;
    let incarnation = '';
    const ask = async (...ops: LedgerOp[]) => {
      const result = await store.exec({ owner, incarnation, reach: [], ops });
      if (result.kind !== 'turned') throw new Error('stale');
      return result.replies;
    };
    const runId = await store.runId();
    const [opened] = await ask({ op: 'open', runId, previous: '', executes: true, timing: TEST_TIMING });
    incarnation = (opened as { incarnation: string }).incarnation;
    return { ask, close: () => command.disconnect() };
  });
  return await Promise.all(made);
}

const admit = (id: string, change: Partial<AdmitOp>): AdmitOp => ({
  ...{ op: 'admit', id, kind: 'held', objective: 'chat', priority: 100, classKey: '', bytes: 1, costTokens: 1 },
  ...{ expiresAtMs: 0, arrivedAtMs: 0, limits: ROOMY_LIMITS, ranking: [], ...change },
});

test('however many ask at one moment, a tenant gets what it may have and no more', async () => {
  const all = await owners(8, 'ns/tenant');
  const limits = { ...ROOMY_LIMITS, tenantMaxRequests: 25 };
  const asked = all.flatMap(({ ask }, owner) =>
    Array.from({ length: 20 }, (_, n) => ask(admit(`t${owner}-${n}`, { fairnessId: 'acme', limits }))),
  );
  const kinds = (await Promise.all(asked)).flat().map(({ kind }) => kind);
  expect(kinds.filter((kind) => kind === 'queued')).toHaveLength(25);
  expect(kinds.filter((kind) => kind === 'rejected')).toHaveLength(135);
  for (const { close } of all) close();
});

test('every call that pushes one out at the same moment has a victim of its own', async () => {
  const all = await owners(6, 'ns/displace');
  const limits = { ...ROOMY_LIMITS, poolMaxRequests: 40 };
  const low = { objective: 'batch', priority: -10, limits };
  for (let n = 0; n < 40; n += 1) await all[0]!.ask(admit(`low-${n}`, low));
  const asked = all.flatMap(({ ask }, owner) =>
    Array.from({ length: 10 }, (_, n) => ask(admit(`chat-${owner}-${n}`, { limits }))),
  );
  const kinds = (await Promise.all(asked)).flat().map(({ kind }) => kind);
  expect(kinds.filter((kind) => kind === 'queued')).toHaveLength(40);
  const [listed] = await all[1]!.ask({ op: 'list', objective: '', fairnessId: '', limit: 500 });
  const tickets = listed?.kind === 'listed' ? listed.tickets : [];
  expect(tickets.map(({ objective }) => objective)).toEqual(Array.from({ length: 40 }, () => 'chat'));
  for (const { close } of all) close();
});
