import { randomUUID } from 'node:crypto';
import { describe, expect, it, onTestFinished } from 'vitest';
import { batchIds } from '../../../src/batch/adapters/lifecycle/batch-ids.ts';
import { BlobJournal } from '../../../src/batch/adapters/lifecycle/blob-journal.ts';
import { RedisBatchIndex } from '../../../src/batch/adapters/lifecycle/redis-batch-index.ts';
import { RedisBatchBoard } from '../../../src/batch/adapters/lifecycle/redis-board.ts';
import { RedisCreationClaims } from '../../../src/batch/adapters/lifecycle/redis-claims.ts';
import { RedisBatchHints } from '../../../src/batch/adapters/lifecycle/redis-hints.ts';
import { RedisBatchLeases } from '../../../src/batch/adapters/lifecycle/redis-leases.ts';
import { RedisRowStates } from '../../../src/batch/adapters/rows/redis-row-states.ts';
import { BatchLifecycle } from '../../../src/batch/lifecycle/lifecycle.ts';
import type { RowTotals } from '../../../src/batch/ports.ts';
import type { BatchView } from '../../../src/core/batches.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { systemRandom } from '../../../src/platform/random.ts';
import { createRedis, whenReady } from '../../../src/platform/redis/connection.ts';
import { RedisChannels } from '../../../src/queue/adapters/job-index/channels.ts';
import { batchRequest, storedFile } from '../../support/batch/batch-doc.ts';
import {
  FakeCabinet,
  FakeFinalise,
  FakeNotices,
  FakeRowWork,
  FakeValidation,
  type Records,
} from '../../support/batch/fake-parts.ts';
import { CountingMeter, SETTINGS } from '../../support/batch/lifecycle-world.ts';
import { MemoryBlobStore } from '../../support/memory-blob-store.ts';
import { useRedis } from '../../support/redis.ts';
import { silentLogger } from '../../support/silent-logger.ts';
import { until } from '../../support/until.ts';

const ALL = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
/** Renewed every three seconds. */
const LEASE_MS = 4_000;

const redis = useRedis();

/** Batches over a store in memory and a real Redis; each gateway with connections of its own. */
class World {
  readonly prefix = `test-${randomUUID().slice(0, 8)}`;
  readonly blobs = new MemoryBlobStore();
  readonly records: Records = new Map();
  readonly cabinet = new FakeCabinet();
  readonly notices = new FakeNotices();
  readonly validation = new FakeValidation(this.blobs);
  readonly states = new RedisRowStates(redis.client, this.prefix, systemRandom);

  constructor() {
    this.cabinet.files.set('file-in', storedFile());
  }

  async gateway(name: string) {
    const client = createRedis({ url: redis.url, purpose: 'command', log: silentLogger });
    const subscriber = createRedis({ url: redis.url, purpose: 'subscriber', log: silentLogger });
    await whenReady(client, 10_000);
    const { prefix, blobs, cabinet, notices, records } = this;
    const index = new RedisBatchIndex(client, { prefix, fileRetentionMs: SETTINGS.fileRetentionMs });
    const hints = new RedisBatchHints(client, new RedisChannels(subscriber), { prefix });
    const states = new RedisRowStates(client, prefix, systemRandom);
    const rows = new FakeRowWork(states, records);
    const batches = new BatchLifecycle({
      owner: name,
      journal: new BlobJournal({ blobs, index, log: silentLogger, hints }),
      index,
      leases: new RedisBatchLeases(client, { prefix, leaseMs: LEASE_MS }),
      board: new RedisBatchBoard(client, { prefix }),
      claims: new RedisCreationClaims(client, { prefix }),
      blobs,
      states,
      rows,
      cabinet,
      notices,
      validate: (input, options) => this.validation.validate(input, options),
      finalise: new FakeFinalise(states, blobs).finalise,
      readRows: () => Promise.resolve({ items: [], hasMore: false }),
      ids: batchIds,
      world: {
        refuseObjective: () => null,
        poolState: () => ({ kind: 'serving', message: '' }),
        forecastMs: () => null,
      },
      settings: SETTINGS,
      meter: new CountingMeter(),
      clock: systemClock,
      log: silentLogger,
    });
    const end = new AbortController();
    const ended = batches.run(end.signal);
    const disconnect = () => {
      client.disconnect();
      subscriber.disconnect();
    };
    onTestFinished(async () => {
      end.abort();
      await ended;
      disconnect();
    });
    return { batches, rows, disconnect };
  }

  create({ batches }: { readonly batches: BatchLifecycle }): Promise<BatchView> {
    return batches.service.create(batchRequest());
  }

  async totals(id: string): Promise<RowTotals | null> {
    return this.states.totals(id).catch(() => null);
  }

  untilOpen(id: string): Promise<void> {
    return until(async () => (await this.totals(id))?.gate === 'open', 'its rows may run');
  }
}

describe('batches over a real Redis', () => {
  it('live on one gateway and are seen, changed and watched on another', async () => {
    const world = new World();
    const [one, two] = [await world.gateway('one'), await world.gateway('two')];
    const { id, identity } = { ...(await world.create(one)), identity: batchRequest().identity };
    const seen: string[] = [];
    const watching = (async () => {
      for await (const view of two.batches.service.watch(id, 'acme', AbortSignal.timeout(60_000)))
        seen.push(view.status);
    })();
    await world.untilOpen(id);
    await two.batches.service.change(id, identity, { kind: 'pause', reason: null });
    await until(async () => (await world.totals(id))?.gate === 'paused', 'its keeper has paused it');
    await one.batches.service.change(id, identity, { kind: 'resume' });
    await world.untilOpen(id);
    await one.rows.end(id, ALL);
    await watching;
    expect(seen.at(-1)).toBe('completed');
    await until(() => world.notices.published.length > 0, 'its end is told');
    const { items } = await two.batches.service.list('acme', { after: null, limit: 20, status: 'completed' });
    expect(items).toMatchObject([{ id, counts: { total: 10, completed: 10, failed: 0 } }]);
  });

  it('go on elsewhere when their keeper loses Redis', async () => {
    const world = new World();
    const one = await world.gateway('one');
    const { id } = await world.create(one);
    await world.untilOpen(id);
    one.disconnect();
    const two = await world.gateway('two');
    await until(() => two.rows.supplied.some((doc) => doc.id === id), 'another keeper has taken it over');
    expect(two.rows.recoveries).toBe(1);
    await two.rows.end(id, ALL);
    await until(async () => (await two.batches.service.get(id, 'acme')).status === 'completed', 'it is completed');
  });

  it('survive an emptied Redis in mid-run: nothing is lost, nothing counts twice', async () => {
    const world = new World();
    const one = await world.gateway('one');
    const { id } = await world.create(one);
    await world.untilOpen(id);
    await one.rows.end(id, [0, 1, 2, 3]);
    await redis.client.flushdb();
    one.batches.redisLost();
    await until(async () => (await world.totals(id))?.completed === 4, 'its states are made of the records');
    await world.untilOpen(id);
    await one.rows.end(id, [4, 5, 6, 7, 8, 9]);
    await until(async () => (await one.batches.service.get(id, 'acme')).status === 'completed', 'it is completed');
    expect((await one.batches.service.get(id, 'acme')).counts).toEqual({ total: 10, completed: 10, failed: 0 });
    const { items } = await one.batches.service.list('acme', { after: null, limit: 20, status: null });
    expect(items.map((view) => view.id)).toEqual([id]);
  });
});
