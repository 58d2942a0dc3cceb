import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MemoryLedgerStore } from '../../src/queue/adapters/ledger/memory-ledger-store.ts';
import { RedisLedgerStore } from '../../src/queue/adapters/ledger/redis-ledger-store.ts';
import { MAX_FLOWS_PER_BAND } from '../../src/queue/policy/ledger/flows.ts';
import type { AdmitOp, LedgerOp, TurnResult } from '../../src/queue/policy/ledger/ops.ts';
import { rule } from '../support/ledger-order.ts';
import { TEST_TIMING } from '../support/ledger-script.ts';
import { ROOMY_LIMITS } from '../support/live-order-builders.ts';
import { useRedis } from '../support/redis.ts';

/** What random stories are too small for: the bounds of one turn's work, played on both stores side by side. */

const redis = useRedis();
let subscriber: Redis;
let pools = 0;
beforeAll(() => {
  subscriber = new Redis(redis.url);
});
afterAll(() => subscriber.disconnect());

type Turned = Extract<TurnResult, { kind: 'turned' }>;

/** Both stores at one time; every answer of one must be that of the other. */
async function openPair() {
  const clock = { nowUs: 1_700_000_000_000_000 };
  const nowUs = () => clock.nowUs;
  const pool = `ns/bounds-${(pools += 1)}`;
  const inRedis = new RedisLedgerStore({
    ...{ command: redis.client, subscriber, keyPrefix: redis.prefix, installation: 'i', pool, nowUs },
  });
  const memory = new MemoryLedgerStore(nowUs);
  await inRedis.runId();
  let incarnation = '';
  const exec = async (...ops: LedgerOp[]): Promise<Turned> => {
    clock.nowUs += 1_000;
    const request = { owner: 'gw', incarnation, reach: [], ops };
    const [expected, actual] = [await memory.exec(request), await inRedis.exec(request)];
    expect(actual).toEqual(expected);
    if (expected.kind === 'stale') throw new Error('stale');
    return expected;
  };
  const { replies } = await exec({ op: 'open', runId: 'run', previous: '', executes: true, timing: TEST_TIMING });
  incarnation = (replies[0] as { incarnation: string }).incarnation;
  return { exec, memory, inRedis };
}

function admission(id: string, change: Partial<AdmitOp> = {}): AdmitOp {
  return {
    ...{ op: 'admit', id, kind: 'row', objective: 'nightly', priority: 0, classKey: '', bytes: 1, costTokens: 10 },
    ...{ expiresAtMs: 0, arrivedAtMs: 0, limits: ROOMY_LIMITS, ranking: [] },
    ...change,
  };
}

const named = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, n) => `${prefix}${String(n).padStart(5, '0')}`);

async function inPortions(exec: (...ops: LedgerOp[]) => Promise<Turned>, ops: LedgerOp[]): Promise<void> {
  for (let done = 0; done < ops.length; done += 250) await exec(...ops.slice(done, done + 250));
}

/** Takes and ends what is offered, until nothing is; the ids in their order. */
async function serve(exec: (...ops: LedgerOp[]) => Promise<Turned>, first: Turned): Promise<string[]> {
  const order: string[] = [];
  for (let turn = first; turn.mail.offers.length > 0; ) {
    const offers = [...turn.mail.offers];
    await exec(
      ...offers.map(({ id, token, endpointId }) => ({ op: 'take' as const, id, token, ranking: [endpointId] })),
    );
    order.push(...offers.map(({ id }) => id));
    turn = await exec(...offers.map(({ id, token }) => ({ op: 'finish' as const, id, token })));
  }
  return order;
}

test('hundreds of tickets that came at one instant are parked and put back in portions, and keep their order', {
  timeout: 60_000,
}, async () => {
  const { exec, memory } = await openPair();
  const arrivedAtMs = 1_699_999_000_000;
  const sameInstant = named('a', 600);
  await exec({ op: 'setRules', rules: [rule('nightly', 0)] });
  await inPortions(exec, [
    ...sameInstant.map((id) => admission(id, { arrivedAtMs })),
    ...named('b', 300).map((id) => admission(id)),
  ]);
  await exec({ op: 'setRules', rules: [rule('nightly', 0, { paused: true })] });
  await exec({ op: 'setEndpoints', endpoints: [{ id: 'ep-1', slots: 7 }] });
  for (let n = 0; n < 6; n += 1) await exec({ op: 'poll' });
  expect(memory.state.parked.get('nightly')?.size).toBe(900);
  const resumed = await exec({ op: 'setRules', rules: [rule('nightly', 0)] });
  const order = await serve(exec, resumed);
  expect(order).toHaveLength(900);
  expect(order.slice(0, 600)).toEqual(sameInstant);
  expect(memory.state.replacing.size).toBe(0);
});

test('more tenants than a band tells apart share one flow, within which the earliest goes first', {
  timeout: 120_000,
}, async () => {
  const { exec, memory } = await openPair();
  const tenants = named('tenant-', MAX_FLOWS_PER_BAND + 40);
  await inPortions(
    exec,
    tenants.map((fairnessId) => admission(`row-of-${fairnessId}`, { fairnessId })),
  );
  const band = memory.state.bands.get(0)!;
  expect(band.flows.size).toBe(MAX_FLOWS_PER_BAND + 1);
  // One of those who share the flow has a limit of its own, which blocks none of the others.
  const limited = named('limited-', 5).map((id) => admission(id, { fairnessId: 'limited', maxConcurrency: 1 }));
  await inPortions(exec, [...limited, admission('last', { fairnessId: 'another' })]);
  const order = await serve(exec, await exec({ op: 'setEndpoints', endpoints: [{ id: 'ep-1', slots: 250 }] }));
  expect(order).toHaveLength(tenants.length + 6);
  expect(order.indexOf('last')).toBeLessThan(order.indexOf('limited-00001'));
});

test('rules without aging leave nothing behind that keeps later tickets from aging', { timeout: 60_000 }, async () => {
  const { exec, memory } = await openPair();
  const aging = [rule('chat', 100), rule('nightly', 0, { agingMs: 200 })];
  await exec({ op: 'setRules', rules: aging });
  const old = named('old', 100);
  await exec(...old.map((id) => admission(id)));
  await exec({ op: 'setRules', rules: [] });
  await exec(...old.map((id) => ({ op: 'withdraw' as const, id })));
  await exec({ op: 'setRules', rules: aging });
  await exec(admission('ages', { fairnessId: 'n' }));
  for (let n = 0; n < 300; n += 1) await exec({ op: 'poll' });
  await exec(...named('chat', 3).map((id) => admission(id, { objective: 'chat', priority: 100, fairnessId: 'c' })));
  expect(memory.state.tickets.get('ages')?.band).toBe(100);
  const order = await serve(exec, await exec({ op: 'setEndpoints', endpoints: [{ id: 'ep-1', slots: 1 }] }));
  expect(order.indexOf('ages')).toBeLessThan(2);
});

test('a tenant at its limit blocks nobody, whatever it is called and however many tenants there are', {
  timeout: 120_000,
}, async () => {
  for (const others of [0, MAX_FLOWS_PER_BAND + 1]) {
    const { exec } = await openPair();
    await inPortions(
      exec,
      named('tenant-', others).map((fairnessId) => admission(`row-of-${fairnessId}`, { fairnessId, classKey: 'x' })),
    );
    await exec({ op: 'setEndpoints', endpoints: [{ id: 'ep-1', slots: 2, adapters: [] }] });
    const limited = named('limited-', 40).map((id) => admission(id, { fairnessId: '*', maxConcurrency: 1 }));
    await exec(...limited);
    const after = await exec(admission('free', { fairnessId: 'free' }));
    expect(after.mail.offers.map(({ id }) => id)).toEqual(['free']);
  }
});

test('a turn of many operations moves no more tickets than a turn may, and the next turns go on', {
  timeout: 60_000,
}, async () => {
  const { exec, memory } = await openPair();
  await exec({ op: 'setRules', rules: [rule('chat', 100), rule('nightly', 0)] });
  await inPortions(
    exec,
    named('a', 1_500).map((id) => admission(id)),
  );
  const many = () => Array.from({ length: 20 }, () => ({ op: 'withdraw', id: 'a00000' }) as const);
  await exec({ op: 'setRules', rules: [rule('chat', 100), rule('nightly', 0, { paused: true })] }, ...many());
  await exec(admission('b'), admission('c'), admission('d'), admission('e'));
  const parked = () => memory.state.parked.get('nightly')?.size ?? 0;
  expect(parked()).toBeLessThanOrEqual(1_024 + 4);
  for (let n = 0; n < 3; n += 1) await exec({ op: 'poll' });
  expect(parked()).toBe(1_503);
  const aging = rule('nightly', 0, { agingMs: 100 });
  await exec({ op: 'setRules', rules: [rule('chat', 100), aging] });
  for (let n = 0; n < 300; n += 1) await exec({ op: 'find', id: 'x' });
  await exec(...named('x', 20).map((id) => admission(id)));
  expect(memory.state.bands.get(100)?.waiting ?? 0).toBeLessThanOrEqual(512);
  for (let n = 0; n < 40; n += 1) await exec({ op: 'poll' });
  expect(memory.state.bands.get(100)?.waiting).toBe(1_503);
});
