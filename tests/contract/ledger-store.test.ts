import { Redis } from 'ioredis';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { MemoryLedgerStore } from '../../src/queue/adapters/ledger/memory-ledger-store.ts';
import { RedisLedgerStore } from '../../src/queue/adapters/ledger/redis-ledger-store.ts';
import type { LedgerNews, LedgerStore } from '../../src/queue/live-order/ports.ts';
import type { LedgerOp, Mail, PoolHint, SnapshotReply, TurnResult } from '../../src/queue/policy/ledger/ops.ts';
import { TEST_TIMING } from '../support/ledger-script.ts';
import { ROOMY_LIMITS } from '../support/live-order-builders.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const cleanUps: (() => void)[] = [];
let pools = 0;
afterEach(() => {
  for (const cleanUp of cleanUps.splice(0).reverse()) cleanUp();
});

const adapters: Record<string, () => LedgerStore> = {
  memory: () => new MemoryLedgerStore(() => Date.now() * 1_000),
  Redis: () => inRedis(true),
  'Redis, as a script': () => inRedis(false),
};

function inRedis(useFunctions: boolean): LedgerStore {
  const subscriber = new Redis(redis.url);
  cleanUps.push(() => subscriber.disconnect());
  const options = { keyPrefix: redis.prefix, installation: 'c', pool: `ns/p${(pools += 1)}`, useFunctions };
  return new RedisLedgerStore({ command: redis.client, subscriber, ...options });
}

const eventually = (check: () => unknown) => vi.waitFor(check, { timeout: 15_000, interval: 5 });
const admit = (id: string): LedgerOp => ({
  op: 'admit',
  ...{ id, kind: 'held', objective: 'o', priority: 0, classKey: '', bytes: 1, costTokens: 1 },
  ...{ expiresAtMs: 0, arrivedAtMs: 0, limits: ROOMY_LIMITS, ranking: [] },
});

/** One owner on the store, joined, with everything it was told. */
async function join(store: LedgerStore, owner: string) {
  const mail: Mail[] = [];
  const hints: PoolHint[] = [];
  let isHeard = false;
  const news: LedgerNews = {
    onMail: (letter) => mail.push(letter),
    onHint: (hint) => hints.push(hint),
    onGap: () => (isHeard = true),
  };
  cleanUps.push(store.subscribe(owner, news));
  if (store instanceof RedisLedgerStore) await eventually(() => expect(isHeard).toBe(true));
  let incarnation = '';
  const exec = (...ops: LedgerOp[]) => store.exec({ owner, incarnation, reach: [], ops });
  const opened = turned(
    await exec({ op: 'open', runId: await store.runId(), previous: '', executes: true, timing: TEST_TIMING }),
  );
  incarnation = (opened.replies[0] as { incarnation: string }).incarnation;
  return { exec, mail, hints };
}

function turned(result: TurnResult) {
  if (result.kind !== 'turned') throw new Error('stale');
  return result;
}

describe.each(Object.entries(adapters))('a ledger store (%s)', (_name, open) => {
  test('executes a turn in order and answers each operation', async () => {
    const a = await join(open(), 'a');
    const result = turned(
      await a.exec(admit('t1'), admit('t1'), { op: 'withdraw', id: 't1' }, { op: 'withdraw', id: 't1' }),
    );
    expect(result.replies.map(({ kind }) => kind)).toEqual(['queued', 'live', 'ok', 'gone']);
  });

  test('answers an operation that it cannot read with an error, and executes the others', async () => {
    const a = await join(open(), 'a');
    const broken = { ...admit('t1'), limits: undefined } as unknown as LedgerOp;
    const unknown = { op: 'dance' } as unknown as LedgerOp;
    const result = turned(await a.exec(broken, unknown, admit('t2')));
    expect(result.replies.map(({ kind }) => kind)).toEqual(['error', 'error', 'queued']);
    expect(turned(await a.exec({ op: 'heartbeat', check: ['t1', 't2'] })).replies[0]).toMatchObject({
      tickets: 1,
      positions: [-2, 0],
    });
  });

  test('executes nothing for an owner or an incarnation that it does not know', async () => {
    const store = open();
    const a = await join(store, 'a');
    expect(await store.exec({ owner: 'a', incarnation: 'older', reach: [], ops: [admit('t')] })).toEqual({
      kind: 'stale',
    });
    expect(await store.exec({ owner: 'b', incarnation: '', reach: [], ops: [admit('t')] })).toEqual({
      kind: 'stale',
    });
    expect(turned(await a.exec({ op: 'snapshot' })).replies[0]).toMatchObject({ objectives: [] });
  });

  test('tells other owners their offers and the pool its hints; the caller has both in his answer', async () => {
    const store = open();
    const [a, b] = [await join(store, 'a'), await join(store, 'b')];
    expect(turned(await b.exec(admit('t1'))).hints).toEqual(['wake']);
    await eventually(() => expect(a.hints).toEqual(['wake']));
    const opened = turned(await a.exec(admit('t2'), { op: 'setEndpoints', endpoints: [{ id: 'ep-1', slots: 2 }] }));
    expect(opened.mail.offers.map(({ id }) => id)).toEqual(['t2']);
    await eventually(() => expect(b.mail.flatMap(({ offers }) => offers.map(({ id }) => id))).toEqual(['t1']));
    expect([...b.hints].sort()).toEqual(['wake', 'windows']);
    expect(a.mail).toEqual([]);
  });

  test('tells another owner that its work was settled', async () => {
    const store = open();
    const [a, b] = [await join(store, 'a'), await join(store, 'b')];
    await b.exec(admit('t1'));
    await a.exec({ op: 'settle', id: 't1', objective: 'o', token: '', outcome: '{}', recordRef: 'null' });
    await eventually(() => expect(b.mail).toEqual([{ offers: [], evictions: [{ id: 't1', reason: 'withdrawn' }] }]));
  });

  test('tells the deadlines of any number of jobs and bulks in 32 lines, whose sums are exact', async () => {
    const lines = await deadlinesOfMany(open());
    const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
    expect(lines).toHaveLength(32);
    expect(sum(lines.map(({ requests }) => requests))).toBe(147 + 3_000);
    expect(sum(lines.map(({ costTokens }) => costTokens))).toBe((149 * 150) / 2 - 73 + 30_000);
    expect(lines).toEqual(await deadlinesOfMany(new MemoryLedgerStore(() => Date.now() * 1_000)));
  });
});

/** 150 jobs, three of them settled, and 30 bulks, with more deadlines than lines; their buckets cross those of the bulks. */
async function deadlinesOfMany(store: LedgerStore) {
  const { exec } = await join(store, 'a');
  const startMs = 1_700_000_000_000;
  const work = { objective: 'o', priority: 0, bytes: 1 };
  for (let index = 0; index < 150; index += 1) {
    const times = { deadlineMs: startMs + 500_000 + 1_000 * index, acceptedAtMs: startMs + 400_000 + 10 * index };
    const bulk = { requests: 100, costTokens: 1_000, acceptedAtMs: startMs - index, deadlineMs: times.deadlineMs };
    const ops: LedgerOp[] = [{ op: 'confirm', id: `j${index}`, ...work, costTokens: index, ...times }];
    if (index % 5 === 0) ops.push({ op: 'setBulk', id: `b${index}`, ...work, ...bulk });
    await exec(...ops);
  }
  const settled = { objective: 'o', token: '', outcome: '{}', recordRef: 'null' };
  for (const id of ['j0', 'j3', 'j70']) await exec({ op: 'settle', id, ...settled });
  const [reply] = turned(await exec({ op: 'snapshot' })).replies as [SnapshotReply];
  return reply.objectives[0]!.deadlines;
}
