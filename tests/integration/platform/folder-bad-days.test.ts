import { mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FolderBlobStore } from '../../../src/platform/blobs/folder/folder-blob-store.ts';
import { listFolder } from '../../../src/platform/blobs/folder/list-folder.ts';
import { openBlobStore } from '../../../src/platform/blobs/open.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { systemRandom } from '../../../src/platform/random.ts';
import { silentLogger } from '../../support/silent-logger.ts';
import { type WatchedDisk, watchedDisk } from '../../support/watched-disk.ts';

let base: string;
let root: string;
let disk: WatchedDisk;
let store: FolderBlobStore;

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'pilotlight-folder-'));
  root = join(base, 'data');
  disk = watchedDisk();
  store = new FolderBlobStore(root, { clock: systemClock, random: systemRandom, disk });
});

afterEach(async () => {
  await store.close();
  await rm(base, { recursive: true, force: true });
});

async function* chunk(text: string): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(Buffer.from(text));
}

async function filesIn(folder: string): Promise<string[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return found.filter((entry) => entry.isFile()).map(({ name }) => name);
}

describe('a folder whose disk fails', () => {
  test.each(
    (['create', 'write', 'sync', 'place'] as const).flatMap((step) => [
      { step, errno: 'ENOSPC', code: 'store_full', httpStatus: 507, says: 'disk is full' },
      { step, errno: 'EROFS', code: 'store_unavailable', httpStatus: 503, says: 'read-only' },
      { step, errno: 'EIO', code: 'store_unavailable', httpStatus: 503, says: 'reports errors' },
    ]),
  )('$errno at $step: the put ends with $code, leaves nothing, and the next one works', async (failure) => {
    const { step, errno, code, httpStatus, says } = failure;
    disk.failing = { step, code: errno };
    await expect(store.put('files/a', chunk('content'))).rejects.toMatchObject({
      code,
      httpStatus,
      message: expect.stringContaining(says) as string,
    });
    expect(await filesIn(root)).toEqual([]);
    disk.failing = null;
    expect(await store.put('files/a', chunk('content'), { ifAbsent: true })).toMatchObject({ kind: 'stored' });
    expect(await filesIn(root)).toEqual(['a']);
  });

  test('nobody sees a blob before it is synced', async () => {
    disk.holdSyncs();
    const put = store.put('files/a', chunk('content'));
    await disk.syncStarted();
    expect(await store.info('files/a')).toBeNull();
    disk.releaseSyncs();
    await put;
    expect(await store.info('files/a')).toMatchObject({ bytes: 7 });
  });
});

describe('a folder and what else lies in it', () => {
  test('opening it writes nothing, and an empty one has no blobs', async () => {
    const s3 = { bucket: null, prefix: '', endpoint: null, region: 'us-east-1', pathStyle: false };
    const settings = { kind: 'folder', dataDir: base, installation: 'local', s3 } as const;
    const opened = await openBlobStore(settings, { clock: systemClock, random: systemRandom, log: silentLogger });
    for await (const info of opened.list('')) throw new Error(`it has ${info.key}`);
    expect(await opened.sweepUnfinished(0)).toBe(0);
    expect(await opened.freeBytes()).toBeGreaterThan(0);
    expect(await readdir(base)).toEqual([]);
    await opened.put('files/a', chunk('x'));
    expect((await stat(join(base, 'local', 'files', 'a'))).mode & 0o777).toBe(0o600);
    await opened.close();
  });

  test('folders that became empty go with their last blob, those in use stay', async () => {
    await store.put('batches/a/rows/1', chunk('x'));
    await store.put('batches/b/rows/1', chunk('x'));
    await store.delete('batches/a/rows/1');
    expect(await readdir(join(root, 'batches'))).toEqual(['b']);
  });

  test('a folder, a link out of it and foreign names are no blobs', async () => {
    await store.put('files/sub/a', chunk('x'));
    await writeFile(join(base, 'outside'), 'secret');
    await symlink(join(base, 'outside'), join(root, 'files', 'link'));
    await writeFile(join(root, 'files', 'a b'), 'x');
    expect(await store.info('files/sub')).toBeNull();
    expect(await store.read('files/sub')).toBeNull();
    expect(await store.readAll('files/sub')).toBeNull();
    const keys: string[] = [];
    for await (const { key } of store.list('')) keys.push(key);
    expect(keys).toEqual(['files/sub/a']);
  });

  test('blobs written by an earlier release of the job store are where they were', async () => {
    await mkdir(join(root, 'jobs', 'm0abcdefghijkl'), { recursive: true });
    await writeFile(join(root, 'jobs', 'm0abcdefghijkl', 'm0abcdef.seg'), 'segment');
    expect(await store.info('jobs/m0abcdefghijkl/m0abcdef.seg')).toMatchObject({ bytes: 7 });
  });

  test('a folder with more names than are held at a time is listed in order, in several passes', async () => {
    const names = Array.from({ length: 100 }, (_, index) => `n${(index * 37) % 100}`);
    await mkdir(join(root, 'many', 'n5'), { recursive: true });
    for (const name of names) if (name !== 'n5') await writeFile(join(root, 'many', name), 'x');
    await writeFile(join(root, 'many', 'n5', 'inner'), 'x');
    const expected = names.map((name) => (name === 'n5' ? 'many/n5/inner' : `many/${name}`)).sort();
    for (const held of [1, 7, 50, 100, 1_000]) {
      const keys: string[] = [];
      for await (const { key } of listFolder(join(root, 'many'), 'many/', { names: held })) keys.push(key);
      expect(keys, `${held} at a time`).toEqual(expected);
    }
  });
});
