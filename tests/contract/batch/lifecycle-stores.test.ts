import { beforeEach, describe, expect, it } from 'vitest';
import { RedisBatchIndex } from '../../../src/batch/adapters/lifecycle/redis-batch-index.ts';
import { RedisBatchBoard } from '../../../src/batch/adapters/lifecycle/redis-board.ts';
import { RedisCreationClaims } from '../../../src/batch/adapters/lifecycle/redis-claims.ts';
import { RedisBatchLeases } from '../../../src/batch/adapters/lifecycle/redis-leases.ts';
import type { BatchBoard, BatchIndex, BatchLeases, CreationClaims } from '../../../src/batch/lifecycle/ports.ts';
import type { BatchDoc } from '../../../src/batch/ports.ts';
import { batchDoc, batchFinal, batchPlan, START_EPOCH_MS, TENANT } from '../../support/batch/batch-doc.ts';
import {
  MemoryBatchBoard,
  MemoryBatchIndex,
  MemoryBatchLeases,
  MemoryCreationClaims,
} from '../../support/batch/memory-lifecycle.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';

const RETENTION_MS = 1_000_000;
const LEASE_MS = 400;

interface Stores {
  readonly index: BatchIndex;
  readonly leases: BatchLeases;
  readonly board: BatchBoard;
  readonly claims: CreationClaims;
  /** Lets leases run out. */
  readonly pass: () => Promise<void>;
}

const redis = useRedis();
let round = 0;

const makers: Record<string, () => Stores> = {
  memory: () => {
    const clock = new FakeClock();
    return {
      index: new MemoryBatchIndex(RETENTION_MS),
      leases: new MemoryBatchLeases(clock, LEASE_MS),
      board: new MemoryBatchBoard(),
      claims: new MemoryCreationClaims(clock),
      pass: () => clock.advance(LEASE_MS),
    };
  },
  Redis: () => {
    const prefix = `${redis.prefix}-${round++}`;
    const leases = new RedisBatchLeases(redis.client, { prefix, leaseMs: LEASE_MS });
    return {
      index: new RedisBatchIndex(redis.client, { prefix, fileRetentionMs: RETENTION_MS }),
      leases,
      board: new RedisBatchBoard(redis.client, { prefix }),
      claims: new RedisCreationClaims(redis.client, { prefix }),
      pass: async () => {
        await leases.acquire('clock', 'test');
        await until(async () => (await leases.free(['clock'])).length === 1, 'a lease has run out');
      },
    };
  },
};

const ended: Partial<BatchDoc> = {
  status: 'completed',
  final: batchFinal(),
  stamps: { ...batchDoc().stamps, completedAtEpochMs: START_EPOCH_MS + 5 },
};

describe.each(Object.keys(makers))('what the lifecycle keeps in %s', (kind) => {
  let stores: Stores;
  beforeEach(() => {
    const make = makers[kind];
    if (make) stores = make();
  });

  describe('the index', () => {
    it('gives back the newest generation, also when an older one comes late', async () => {
      const { index } = stores;
      const second = batchDoc({ generation: 2, status: 'in_progress', plan: batchPlan() });
      await index.put(second);
      await index.put(batchDoc());
      expect(await index.read('batch_1')).toEqual(second);
      expect(await index.open('acme')).toEqual([{ id: 'batch_1', rows: 10 }]);
      expect(await index.known(['batch_1', 'batch_none'])).toEqual([2, 0]);
      expect(await index.readMany(['batch_none', 'batch_1'])).toEqual([null, second]);
      const page = { after: null, limit: 5, status: 'in_progress' } as const;
      expect(await index.list('acme', page)).toEqual({ ids: ['batch_1'], hasMore: false });
    });

    it('knows which batches need a keeper, count against their tenant, and may be removed', async () => {
      const { index } = stores;
      await index.put(batchDoc());
      expect(await index.live()).toEqual(['batch_1']);
      await index.put(batchDoc({ ...ended, generation: 2 }));
      expect(await index.live()).toEqual(['batch_1']);
      expect(await index.open('acme')).toEqual([]);
      await index.put(batchDoc({ ...ended, generation: 3, settled: true }));
      expect(await index.live()).toEqual([]);
      const dueEpochMs = START_EPOCH_MS + 5 + RETENTION_MS;
      expect(await index.removable(dueEpochMs - 1, 10)).toEqual([]);
      expect(await index.removable(dueEpochMs, 10)).toEqual(['batch_1']);
      await index.remove('batch_1');
      await index.remove('batch_1');
      expect(await index.removable(dueEpochMs, 10)).toEqual([]);
      expect(await index.read('batch_1')).toBeNull();
      expect(await index.list('acme', { after: null, limit: 5, status: null })).toEqual({ ids: [], hasMore: false });
    });

    it('pages newest first through many, with and without a status, for one tenant only', async () => {
      const { index } = stores;
      const doc = (number: number, changes: Partial<BatchDoc> = {}) =>
        batchDoc({
          id: `batch_${String(number).padStart(4, '0')}`,
          createdAtEpochMs: START_EPOCH_MS + number,
          ...changes,
        });
      await Promise.all(
        Array.from({ length: 1_100 }, (_, number) =>
          index.put(doc(number, number === 3 ? { status: 'cancelling' } : {})),
        ),
      );
      await index.put(doc(9_999, { identity: { ...TENANT, tenant: 'other' } }));
      const first = await index.list('acme', { after: null, limit: 2, status: null });
      expect(first).toEqual({ ids: ['batch_1099', 'batch_1098'], hasMore: true });
      const second = await index.list('acme', { after: 'batch_1098', limit: 2, status: null });
      expect(second).toEqual({ ids: ['batch_1097', 'batch_1096'], hasMore: true });
      expect(await index.list('acme', { after: 'batch_0001', limit: 2, status: null })).toEqual({
        ids: ['batch_0000'],
        hasMore: false,
      });
      expect(await index.list('acme', { after: null, limit: 2, status: 'cancelling' })).toEqual({
        ids: ['batch_0003'],
        hasMore: false,
      });
      expect(await index.list('acme', { after: 'batch_9999', limit: 2, status: null })).toBeNull();
    });

    it('is complete once somebody said so', async () => {
      expect(await stores.index.isComplete()).toBe(false);
      await stores.index.markComplete();
      expect(await stores.index.isComplete()).toBe(true);
    });
  });

  describe('leases', () => {
    it('are one keeper’s, until they are given back or run out', async () => {
      const { leases, pass } = stores;
      const first = await leases.acquire('b', 'one');
      expect(first).toEqual({ token: 1, wasReleased: true });
      expect(await leases.acquire('b', 'two')).toBeNull();
      expect(await leases.free(['a', 'b'])).toEqual(['a']);
      await leases.release('b', 'one', 1);
      expect(await leases.acquire('b', 'two')).toEqual({ token: 2, wasReleased: true });
      await pass();
      // Two did not give it back: it died.
      expect(await leases.acquire('b', 'three')).toEqual({ token: 3, wasReleased: false });
    });

    it('are renewed and given back only by who has them', async () => {
      const { leases } = stores;
      await leases.acquire('b', 'one');
      expect(await leases.renew('b', 'one', 1)).toBe(true);
      expect(await leases.renew('b', 'two', 1)).toBe(false);
      expect(await leases.renew('b', 'one', 2)).toBe(false);
      await leases.release('b', 'two', 1);
      expect(await leases.free(['b'])).toEqual([]);
    });

    it('tell how many keepers live', async () => {
      const { leases, pass } = stores;
      expect(await leases.beat('one')).toBe(1);
      expect(await leases.beat('two')).toBe(2);
      await pass();
      expect(await leases.beat('one')).toBe(1);
    });
  });

  describe('the board', () => {
    it('has the last news, and the rows of all owners', async () => {
      const { board } = stores;
      expect(await board.read('b')).toEqual({ news: null, rowsRunning: 0 });
      const news = { rowsPerSecond: 2.5, etaMs: 1_000, stepPercent: null };
      await board.tell('b', news);
      await board.tellRunning('b', 'one', 3);
      await board.tellRunning('b', 'two', 4);
      await board.tellRunning('b', 'one', 1);
      expect(await board.read('b')).toEqual({ news, rowsRunning: 5 });
    });
  });

  describe('claims', () => {
    it('of a key: the first id, or a conflict', async () => {
      const { claims } = stores;
      expect(await claims.find('acme', 'k', 'h')).toBeNull();
      expect(await claims.byKey('acme', 'k', 'h', 'b1')).toEqual({ kind: 'id', id: 'b1' });
      expect(await claims.byKey('acme', 'k', 'h', 'b2')).toEqual({ kind: 'id', id: 'b1' });
      expect(await claims.find('acme', 'k', 'h')).toEqual({ kind: 'id', id: 'b1' });
      expect(await claims.byKey('acme', 'k', 'other', 'b3')).toEqual({ kind: 'conflict' });
      expect(await claims.byKey('other', 'k', 'h', 'b4')).toEqual({ kind: 'id', id: 'b4' });
    });

    it('of a body: retries meet the batch of the call before, other calls do not', async () => {
      const { claims } = stores;
      expect(await claims.byBody('acme', 'h', false, 'b1')).toBe('b1');
      expect(await claims.byBody('acme', 'h', true, 'b2')).toBe('b1');
      expect(await claims.byBody('acme', 'h', false, 'b3')).toBe('b3');
      expect(await claims.byBody('acme', 'h', true, 'b4')).toBe('b3');
      expect(await claims.byBody('acme', 'i', true, 'b5')).toBe('b5');
      expect(await claims.byBody('acme', 'i', false, 'b6')).toBe('b5');
      expect(await claims.byBody('acme', 'i', false, 'b7')).toBe('b7');
    });

    it('are restored from a document, as long as they are good for anything', async () => {
      const { claims } = stores;
      const repetition = { keyHash: claims.keyHash('k'), bodyHash: 'h' };
      const doc = batchDoc({ repetition });
      await claims.restore(doc, START_EPOCH_MS + 25 * 3_600_000);
      expect(await claims.find('acme', 'k', 'h')).toBeNull();
      await claims.restore(doc, START_EPOCH_MS + 3_600_000);
      expect(await claims.find('acme', 'k', 'h')).toEqual({ kind: 'id', id: 'batch_1' });
      await claims.restore(batchDoc({ repetition: { keyHash: null, bodyHash: 'body' } }), START_EPOCH_MS + 1_000);
      expect(await claims.byBody('acme', 'body', true, 'b9')).toBe('batch_1');
    });
  });
});
