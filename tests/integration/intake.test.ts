import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { CallRunner, DispatchRequest, DispatchResult } from '../../src/core/dispatch.ts';
import type { AdmissionLimits, TicketSpec } from '../../src/core/live-order.ts';
import { EQUAL_TENANTS } from '../../src/core/tenants.ts';
import { FolderBlobStore } from '../../src/platform/blobs/folder/folder-blob-store.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { createRedis, whenReady } from '../../src/platform/redis/connection.ts';
import { BullmqBacklog } from '../../src/queue/adapters/bullmq/bullmq-backlog.ts';
import { shareConnection } from '../../src/queue/adapters/bullmq/shared-backend.ts';
import { RedisChannels } from '../../src/queue/adapters/job-index/channels.ts';
import { RedisJobHints } from '../../src/queue/adapters/job-index/redis-job-hints.ts';
import { RedisJobIndex } from '../../src/queue/adapters/job-index/redis-job-index.ts';
import { BlobJobStore } from '../../src/queue/adapters/job-store/blob-job-store.ts';
import { poolHashTag, RedisLedgerStore } from '../../src/queue/adapters/ledger/redis-ledger-store.ts';
import { StoredExecution } from '../../src/queue/jobs/stored-execution.ts';
import { StoredWork } from '../../src/queue/jobs/stored-work.ts';
import { PoolLiveOrder } from '../../src/queue/live-order/pool-live-order.ts';
import { startDedicatedRedis, useRedis } from '../support/redis.ts';
import { silentLogger } from '../support/silent-logger.ts';
import { COMPLETED, jobSpec, POOL, smallCatalog, TENANT } from '../support/stored-world.ts';
import { until } from '../support/until.ts';

/** Stored work with the real live order: the ledger's windows drive the intake. */
const redis = useRedis();
const BODY = Buffer.alloc(500, 'x');
const LIMITS: AdmissionLimits = {
  poolMaxRequests: 1e6,
  poolMaxBytes: 1e12,
  shedAtPercent: 99,
  objectiveMaxRequests: 1e6,
  objectiveMaxBytes: 1e12,
};

let dataDir: string;
let round = 0;
let closers: (() => Promise<void>)[];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'pilotlight-intake-'));
  round += 1;
  closers = [];
});

afterEach(async () => {
  for (const close of closers.reverse()) await close();
  await rm(dataDir, { recursive: true, force: true });
});

async function openGateway(url = redis.url) {
  const prefix = `${redis.prefix}-intake-${round}`;
  const command = createRedis({ url, purpose: 'command', log: silentLogger });
  const subscriber = createRedis({ url, purpose: 'subscriber', log: silentLogger });
  await whenReady(command, 20_000);
  const order = new PoolLiveOrder({
    store: new RedisLedgerStore({ command, subscriber, keyPrefix: `${prefix}:`, installation: 'test', pool: POOL }),
    pool: POOL,
    owner: `gateway-${closers.length}`,
    clock: systemClock,
    log: silentLogger,
  });
  const channels = new RedisChannels(subscriber);
  const root = `${prefix}:${poolHashTag('test', POOL)}`;
  const connection = await shareConnection(command);
  const backlog = new BullmqBacklog({ pool: POOL, root, client: command, connection, channels, log: silentLogger });
  const random = { next: () => Math.random() };
  const blobs = new FolderBlobStore(join(dataDir, 'test'), { clock: systemClock, random });
  const store = new BlobJobStore({}, { blobs, log: silentLogger });
  const runs = new Map<string, number>();
  const execution = new StoredExecution({
    runner: engine(order, runs),
    toRequest: (spec) => ({ call: { id: spec.id }, ticket: ticketOf(spec.id) }) as DispatchRequest,
    store,
    lanes: () => ({ ledger: order, backlog }),
    clock: systemClock,
    log: silentLogger,
    maxResultBytes: 1_000_000,
  });
  const work = new StoredWork({
    store,
    index: new RedisJobIndex(command, prefix),
    hints: new RedisJobHints(command, channels, prefix),
    catalog: { current: smallCatalog, onChange: () => () => undefined },
    tenants: EQUAL_TENANTS,
    advisor: { retryAfterMs: () => 1_000 },
    execute: execution.execute,
    clock: systemClock,
    log: silentLogger,
    retentionMs: 3_600_000,
  });
  work.addPool({ ledger: order, backlog });
  work.start();
  closers.push(async () => {
    await work.stop(2_000);
    await backlog.close();
    await order.close();
    await store.close();
    await blobs.close();
    command.disconnect();
    subscriber.disconnect();
  });
  return { work, order, command, root, runs, submit: (count: number, name = 'job') => submitAll(work, count, name) };
}

type Gateway = Awaited<ReturnType<typeof openGateway>>;

/** The dispatcher without HTTP: a slot, some work, the record, the outcome. */
function engine(order: PoolLiveOrder, runs: Map<string, number>): CallRunner {
  return {
    async run({ ticket }, sink, { signal, persist, onSlot }): Promise<DispatchResult> {
      const entry = await order.enter(ticket, { rank: () => ['pod-a'], signal });
      if (entry.kind === 'done') return { kind: 'superseded', outcome: entry.outcome };
      if (entry.kind === 'live') return { kind: 'superseded', outcome: null };
      if (entry.kind !== 'run') return { kind: 'handed_back', reason: entry.kind };
      onSlot?.();
      runs.set(ticket.id, (runs.get(ticket.id) ?? 0) + 1);
      await delay(10);
      sink.begin({ status: 200, headers: { 'content-type': 'application/json' } });
      sink.write(Buffer.from(`answer to ${ticket.id}`));
      sink.end();
      entry.lease.release();
      const settled = await entry.lease.settle(COMPLETED, await persist?.(COMPLETED));
      if (settled.kind === 'already') return { kind: 'superseded', outcome: settled.outcome };
      const times = { waitedMs: 0, firstByteMs: 10, totalMs: 10 };
      return { kind: 'completed', outcome: COMPLETED, usage: null, endpointId: 'pod-a', times };
    },
  };
}

function ticketOf(id: string): TicketSpec {
  return {
    id,
    kind: 'stored',
    objective: 'nightly',
    priority: -10,
    fairnessId: TENANT,
    weight: 1,
    costTokens: 30,
    bytes: BODY.byteLength,
    classKey: '',
    expiresAtEpochMs: null,
    arrivedAtEpochMs: null,
    limits: LIMITS,
  };
}

async function submitAll(work: StoredWork, count: number, name: string): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, index) => `${name}-${index}`);
  const answers = await Promise.all(ids.map((id) => work.jobs.submit(jobSpec(id), BODY)));
  expect(answers.filter(({ kind }) => kind !== 'accepted')).toEqual([]);
  return ids;
}

async function openSlots({ order }: Gateway, slots: number): Promise<void> {
  await order.setEndpoints(slots === 0 ? [] : [{ id: 'pod-a', slots, adapters: null }]);
  if (slots > 0) await order.setGate('pod-a', 'open');
}

async function finished({ order }: Gateway, ids: readonly string[]): Promise<number> {
  return (await order.outcomes(ids).catch(() => [])).filter((outcome) => outcome !== null).length;
}

async function locks({ command, root }: Gateway): Promise<number> {
  return (await command.keys(`${root.replaceAll(/[{}]/g, '?')}:backlog:*:lock`)).length;
}

describe('stored work with the real live order', () => {
  test('while the pool sleeps jobs are demand and nothing holds them; when slots open they all run once', async () => {
    const gateway = await openGateway();
    const ids = await gateway.submit(60);
    await delay(1_500);
    expect(await locks(gateway)).toBe(0);
    const asleep = await gateway.order.snapshot();
    expect(asleep.objectives.find(({ objective }) => objective === 'nightly')).toMatchObject({ stored: 60 });

    await openSlots(gateway, 4);
    await until(async () => (await finished(gateway, ids)) === ids.length, 'all finished');
    expect([...gateway.runs.values()]).toEqual(ids.map(() => 1));
    const result = await gateway.work.jobs.result('job-7', TENANT);
    expect(Buffer.from(result?.body ?? '').toString()).toBe('answer to job-7');
    await until(async () => {
      const { objectives } = await gateway.order.snapshot();
      return objectives.every(({ stored }) => stored === 0);
    }, 'no demand left');
  });

  test('when the pool goes to sleep under it, claimed jobs go back and hold nothing', async () => {
    const gateway = await openGateway();
    await openSlots(gateway, 2);
    const ids = await gateway.submit(200);
    await until(async () => (await finished(gateway, ids)) >= 20, 'some finished');
    await until(async () => (await locks(gateway)) > 0, 'locks are seen at all');
    await openSlots(gateway, 0);
    await until(async () => (await locks(gateway)) === 0, 'nothing is held');
    expect(await finished(gateway, ids)).toBeLessThan(ids.length);
    await openSlots(gateway, 8);
    await until(async () => (await finished(gateway, ids)) === ids.length, 'all finished');
    expect(Math.max(...gateway.runs.values())).toBe(1);
  });

  test('a Redis that lost everything is filled again from the folder by itself', async () => {
    const server = await startDedicatedRedis({ persistence: 'none' });
    const gateway = await openGateway(server.url);
    await openSlots(gateway, 4);
    const ids = await gateway.submit(150);
    await until(async () => (await finished(gateway, ids)) >= 40, 'some finished');
    await server.kill();
    await server.restart();
    await openSlots(gateway, 4).catch(() => undefined);
    await until(async () => (await finished(gateway, ids)) === ids.length, 'all finished', 60_000);
    for (const id of ids) expect(await gateway.work.jobs.get(id, TENANT)).toMatchObject({ status: 'completed' });
    // Its results were synced: what had finished before is not worked for again.
    const twice = [...gateway.runs.values()].filter((count) => count > 1).length;
    expect(twice).toBeLessThanOrEqual(8);
  });

  test('two gateways share one pool: every job runs once', async () => {
    const [one, two] = [await openGateway(), await openGateway()];
    await openSlots(one, 6);
    const ids = [...(await one.submit(100, 'one')), ...(await two.submit(100, 'two'))];
    await until(async () => (await finished(one, ids)) === ids.length, 'all finished');
    const runs = new Map(one.runs);
    for (const [id, count] of two.runs) runs.set(id, (runs.get(id) ?? 0) + count);
    expect(runs.size).toBe(ids.length);
    expect(Math.max(...runs.values())).toBe(1);
    expect(Math.min(one.runs.size, two.runs.size)).toBeGreaterThan(0);
  });
});
