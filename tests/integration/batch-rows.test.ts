import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RedisRowHints } from '../../src/batch/adapters/rows/redis-row-hints.ts';
import { RedisRowStates } from '../../src/batch/adapters/rows/redis-row-states.ts';
import { RedisSupplyBook } from '../../src/batch/adapters/rows/redis-supply-book.ts';
import type { BlobStore } from '../../src/core/blobs.ts';
import { FolderBlobStore } from '../../src/platform/blobs/folder/folder-blob-store.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { createRedis, whenReady } from '../../src/platform/redis/connection.ts';
import { BullmqBacklog } from '../../src/queue/adapters/bullmq/bullmq-backlog.ts';
import { shareConnection } from '../../src/queue/adapters/bullmq/shared-backend.ts';
import { RedisChannels } from '../../src/queue/adapters/job-index/channels.ts';
import { useRedis } from '../support/redis.ts';
import { type RowProcess, type RowProcessOptions, startRowProcess } from '../support/row-process.ts';
import { RowWorld } from '../support/row-world.ts';
import { silentLogger } from '../support/silent-logger.ts';
import { POOL } from '../support/stored-world.ts';
import { until } from '../support/until.ts';

const redis = useRedis();

let dataDir: string;
let store: BlobStore;
let round = 0;
let opened: { process: RowProcess; backlog: BullmqBacklog; clients: Redis[]; isKilled: boolean }[];

beforeEach(async () => {
  round += 1;
  opened = [];
  dataDir = await mkdtemp(join(tmpdir(), 'pilotlight-rows-'));
  const deps = { clock: systemClock, random: systemRandom, log: silentLogger };
  store = new FolderBlobStore(dataDir, deps);
});

afterEach(async () => {
  for (const { process, backlog, clients, isKilled } of opened) {
    if (!isKilled) await process.rows.stop(1_000);
    if (!isKilled) await backlog.close();
    for (const client of clients) client.disconnect();
  }
  await store.close();
  await rm(dataDir, { recursive: true, force: true });
});

const prefixOf = (): string => `${redis.prefix}-${round}`;

function newWorld(): RowWorld {
  return new RowWorld({
    store,
    states: new RedisRowStates(redis.client, prefixOf(), systemRandom),
    clock: systemClock,
  });
}

/** One process over connections of its own. */
async function start(world: RowWorld, options: RowProcessOptions = {}) {
  const client = createRedis({ url: redis.url, purpose: 'command', log: silentLogger });
  const subscriber = createRedis({ url: redis.url, purpose: 'subscriber', log: silentLogger });
  await whenReady(client, 10_000);
  const channels = new RedisChannels(subscriber);
  const backlog = new BullmqBacklog({
    pool: POOL,
    root: `${prefixOf()}:{test/${POOL}}`,
    kind: 'rows',
    client,
    connection: await shareConnection(client),
    channels,
    log: silentLogger,
    lockMs: 1_000,
    stallPassMs: 300,
  });
  const process = startRowProcess(world, {
    window: 32,
    chunkRows: 100,
    backlog,
    book: new RedisSupplyBook(client, prefixOf()),
    hints: new RedisRowHints(client, channels, prefixOf()),
    ...options,
  });
  const one = { process, backlog, clients: [client, subscriber], isKilled: false };
  opened.push(one);
  return {
    process,
    /** As kill -9, as far as others can see. */
    kill: () => {
      one.isKilled = true;
      process.kill();
      for (const each of one.clients) each.disconnect();
      world.live.clear();
    },
  };
}

async function whenDone(world: RowWorld, id: string): Promise<void> {
  await until(async () => (await world.states.totals(id)).pending === 0, `all rows of ${id} have ended`);
}

test('two gateways run a batch through one Redis, each row once', async () => {
  const world = newWorld();
  const [one] = [await start(world), await start(world)];
  const doc = await world.addBatch({ rows: 3_000 });
  await one.process.rows.supply(doc);
  await whenDone(world, doc.id);
  expect(await world.states.totals(doc.id)).toMatchObject({ completed: 3_000, failed: 0 });
  expect(world.tries.size).toBe(3_000);
  expect([...world.tries.values()].filter((tries) => tries > 1)).toEqual([]);
  const rows = await world.outcome(doc.id);
  expect(rows.map(({ line }) => (JSON.parse(line) as { custom_id: string }).custom_id)).toEqual(
    Array.from({ length: 3_000 }, (_, line) => `ticket-${line}`),
  );
});

test('a gateway that is killed in the middle costs no row; its synced records count', async () => {
  const world = newWorld();
  const doc = await world.addBatch({ rows: 2_000 });
  const first = await start(world);
  await first.process.rows.supply(doc);
  await until(async () => (await world.states.totals(doc.id)).pending < 1_200, 'some rows have ended');
  first.kill();
  const second = await start(world);
  await second.process.rows.recover(doc, new AbortController().signal);
  await second.process.rows.supply(doc);
  await whenDone(world, doc.id);
  expect((await world.states.totals(doc.id)).completed).toBe(2_000);
  expect(await world.outcome(doc.id)).toHaveLength(2_000);
});

test('a Redis that lost everything is rebuilt from the records', async () => {
  const world = newWorld();
  const doc = await world.addBatch({ rows: 2_000 });
  const { process } = await start(world);
  await process.rows.supply(doc);
  await until(async () => (await world.states.totals(doc.id)).pending < 1_200, 'some rows have ended');
  await redis.client.flushdb();
  process.ledger.lose();
  await world.states.open(doc.id, 2_000, 'open');
  expect(await process.rows.recover(doc, new AbortController().signal)).toBeGreaterThan(500);
  await process.rows.supply(doc);
  await whenDone(world, doc.id);
  expect((await world.states.totals(doc.id)).completed).toBe(2_000);
  expect(await world.outcome(doc.id)).toHaveLength(2_000);
});

test('a gateway that stops hands its chunks back at once, and another goes on', async () => {
  const world = newWorld();
  const engine: RowProcessOptions['engine'] = () =>
    new Promise((resolve) => setTimeout(() => resolve({ status: 200 }), 20));
  const doc = await world.addBatch({ rows: 1_000 });
  const first = await start(world, { engine });
  const second = await start(world, { engine });
  await first.process.rows.supply(doc);
  await until(async () => (await world.states.totals(doc.id)).pending < 800, 'some rows have ended');
  await first.process.rows.stop(5_000);
  await second.process.rows.supply(doc);
  await whenDone(world, doc.id);
  expect([...world.tries.values()].filter((tries) => tries > 1)).toEqual([]);
});
