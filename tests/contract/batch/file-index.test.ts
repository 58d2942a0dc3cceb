import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RedisFileIndex } from '../../../src/batch/adapters/files/redis-file-index.ts';
import type { FileIndex } from '../../../src/batch/files/ports.ts';
import type { StoredFile } from '../../../src/core/files.ts';
import { createRedis, whenReady } from '../../../src/platform/redis/connection.ts';
import { MemoryFileIndex } from '../../support/memory-file-index.ts';
import { useRedis } from '../../support/redis.ts';
import { silentLogger } from '../../support/silent-logger.ts';

/** What every index of files must do. */

const redis = useRedis();
let client: Redis;
let round = 0;
beforeAll(async () => {
  client = createRedis({ url: redis.url, purpose: 'command', log: silentLogger });
  await whenReady(client, 10_000);
});
afterAll(() => client.disconnect());

interface Case {
  readonly index: FileIndex;
  readonly lose: () => Promise<void>;
}

function openRedis(): Case {
  round += 1;
  const prefix = `${redis.prefix}-${round}`;
  const lose = async () => {
    await client.del(await client.keys(`${prefix}*`));
  };
  return { index: new RedisFileIndex(client, prefix), lose };
}

function openMemory(): Case {
  const index = new MemoryFileIndex();
  const lose = () => {
    index.lose();
    return Promise.resolve();
  };
  return { index, lose };
}

function file(id: string, createdAtEpochMs: number, fields: Partial<StoredFile> = {}): StoredFile {
  return {
    id,
    tenant: 'acme',
    bytes: 10,
    createdAtEpochMs,
    expiresAtEpochMs: null,
    filename: `${id}.jsonl`,
    purpose: 'batch',
    parts: [{ key: `files/${id}.data`, bytes: 10 }],
    etag: 'e',
    ...fields,
  };
}

const ALL = { limit: 100, after: null, purpose: null, order: 'desc' as const };

describe.each([
  ['in memory', openMemory],
  ['in Redis', openRedis],
])('an index of files %s', (_name, open) => {
  async function ids(index: FileIndex, request: Partial<Parameters<FileIndex['page']>[1]> = {}, tenant = 'acme') {
    const page = await index.page(tenant, { ...ALL, ...request });
    return page && { ids: page.items.map(({ id }) => id), hasMore: page.hasMore };
  }

  test('lists the files of a tenant by age, both ways, and by purpose', async () => {
    const { index } = open();
    await index.add(file('file-b', 2_000));
    await index.add(file('file-a', 3_000, { purpose: 'user_data' }));
    await index.add(file('file-c', 1_000));
    await index.add(file('file-x', 9_000, { tenant: 'other' }));
    expect(await ids(index)).toEqual({ ids: ['file-a', 'file-b', 'file-c'], hasMore: false });
    expect(await ids(index, { order: 'asc' })).toEqual({ ids: ['file-c', 'file-b', 'file-a'], hasMore: false });
    expect(await ids(index, { purpose: 'batch' })).toEqual({ ids: ['file-b', 'file-c'], hasMore: false });
    expect(await ids(index, { purpose: 'vision' })).toEqual({ ids: [], hasMore: false });
    expect(await ids(index, {}, 'nobody')).toEqual({ ids: [], hasMore: false });
    const page = await index.page('acme', { ...ALL, limit: 1 });
    expect(page?.items[0]).toEqual(file('file-a', 3_000, { purpose: 'user_data' }));
  });

  test.each(['asc', 'desc'] as const)('%s: pages give each file once, also those of one millisecond', async (order) => {
    const { index } = open();
    const all = Array.from({ length: 10 }, (_, n) => file(`file-${n}`, 1_000 + Math.floor(n / 4)));
    for (const one of all) await index.add(one);
    const seen: string[] = [];
    for (let after: string | null = null, more = true; more; ) {
      const page = await index.page('acme', { ...ALL, order, limit: 3, after });
      seen.push(...page!.items.map(({ id }) => id));
      expect(page!.items.length).toBe(page!.hasMore ? 3 : 1);
      after = seen.at(-1)!;
      more = page!.hasMore;
    }
    const byAge = all.map(({ id }) => id);
    expect(seen).toEqual(order === 'asc' ? byAge : byAge.reverse());
  });

  test('a page may begin after a file that was deleted, or that has another purpose', async () => {
    const { index } = open();
    for (const n of [1, 2, 3]) await index.add(file(`file-${n}`, n * 1_000));
    await index.add(file('file-v', 2_500, { purpose: 'vision' }));
    await index.remove('file-2', 'acme');
    expect(await ids(index, { after: 'file-2' })).toEqual({ ids: ['file-1'], hasMore: false });
    expect(await ids(index, { after: 'file-v', purpose: 'batch' })).toEqual({ ids: ['file-1'], hasMore: false });
  });

  test("a page does not begin after what was never there, nor after another tenant's file", async () => {
    const { index } = open();
    await index.add(file('file-1', 1_000));
    expect(await ids(index, { after: 'file-unknown' })).toBeNull();
  });

  test('counts what a tenant keeps, each file once', async () => {
    const { index } = open();
    await index.add(file('file-1', 1_000, { bytes: 8_589_934_592 }));
    await index.add(file('file-1', 1_000, { bytes: 8_589_934_592 }));
    await index.add(file('file-2', 1_000, { bytes: 5 }));
    expect(await index.totals('acme')).toEqual({ files: 2, bytes: 8_589_934_597 });
    await index.remove('file-1', 'acme');
    await index.remove('file-1', 'acme');
    expect(await index.totals('acme')).toEqual({ files: 1, bytes: 5 });
    expect(await index.totals('nobody')).toEqual({ files: 0, bytes: 0 });
  });

  test('keeps tenants apart whose names look like parts of a key', async () => {
    const { index } = open();
    await index.add(file('file-1', 1_000));
    await index.add(file('file-2', 1_000, { tenant: 'acme:p:batch' }));
    await index.add(file('file-3', 1_000, { tenant: 'with a space' }));
    expect(await ids(index)).toEqual({ ids: ['file-1'], hasMore: false });
    expect(await ids(index, {}, 'acme:p:batch')).toEqual({ ids: ['file-2'], hasMore: false });
    expect(await index.listed(['file-3'])).toMatchObject([{ tenant: 'with a space' }]);
  });

  test('tells which files it knows, and when they expire', async () => {
    const { index } = open();
    await index.add(file('file-1', 1_000, { expiresAtEpochMs: 5_000 }));
    await index.add(file('file-2', 1_000));
    expect(await index.listed(['file-0', 'file-1', 'file-2'])).toMatchObject([
      null,
      { tenant: 'acme', expiresAtEpochMs: 5_000 },
      { tenant: 'acme', expiresAtEpochMs: null },
    ]);
    expect(await index.listed([])).toEqual([]);
  });

  test('is complete after a rebuild, unless it lost everything while that went on', async () => {
    const { index, lose } = open();
    expect(await index.isComplete()).toBe(false);
    const interrupted = await index.beginRebuild();
    await index.add(file('file-1', 1_000));
    await lose();
    await interrupted();
    expect(await index.isComplete()).toBe(false);
    const done = await index.beginRebuild();
    await done();
    expect(await index.isComplete()).toBe(true);
  });

  test('two rebuilds at once do not spoil each other', async () => {
    const { index } = open();
    const first = await index.beginRebuild();
    const second = await index.beginRebuild();
    await first();
    expect(await index.isComplete()).toBe(true);
    await second();
    expect(await index.isComplete()).toBe(true);
  });

  test('gives the sweep to one caller', async () => {
    const { index } = open();
    expect([await index.leaseSweep(60_000), await index.leaseSweep(60_000)]).toEqual([true, false]);
  });

  test('counts the open uploads of a tenant until they end', async () => {
    const { index } = open();
    const now = Date.now();
    const opened = (id: string, at = now) => index.openUpload('acme', id, at + 60_000, at, 2);
    expect([await opened('u1'), await opened('u2'), await opened('u3')]).toEqual([true, true, false]);
    await index.closeUpload('acme', 'u1');
    expect(await opened('u3')).toBe(true);
    expect(await opened('u4', now + 61_000)).toBe(true);
  });
});

test('an index in Redis that does not answer says so', async () => {
  const away = createRedis({ url: 'redis://127.0.0.1:1', purpose: 'command', log: silentLogger });
  try {
    await expect(new RedisFileIndex(away, 'p').totals('acme')).rejects.toMatchObject({ code: 'queue_unavailable' });
  } finally {
    away.disconnect();
  }
});
