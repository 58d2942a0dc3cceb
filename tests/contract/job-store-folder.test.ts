import { appendFile, mkdtemp, readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { SegmentLogSettings } from '../../src/core/blobs.ts';
import type { Clock } from '../../src/core/clock.ts';
import type { Disk } from '../../src/platform/blobs/folder/disk.ts';
import { FolderBlobStore } from '../../src/platform/blobs/folder/folder-blob-store.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { BlobJobStore } from '../../src/queue/adapters/job-store/blob-job-store.ts';
import { accept, allOf, bytes, result, scanAll, scannedIds } from '../support/job-records.ts';
import { silentLogger } from '../support/silent-logger.ts';
import { watchedDisk } from '../support/watched-disk.ts';

const DAY_MS = 86_400_000;

let dataDir: string;
let opened: { close(): Promise<void> }[];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'pilotlight-store-'));
  opened = [];
});

afterEach(async () => {
  for (const store of opened) await store.close();
  await rm(dataDir, { recursive: true, force: true });
});

type Options = Partial<SegmentLogSettings> & { readonly recentBytes?: number };

/** Another process's view of the same folder: nothing of it is in memory. */
function openStore(
  { recentBytes, ...segments }: Options = {},
  { clock = systemClock, ...deps }: { disk?: Disk; clock?: Clock } = {},
): BlobJobStore {
  const blobs = new FolderBlobStore(join(dataDir, 'test'), { clock, random: systemRandom, ...deps });
  const options = { segments: { gatherMs: 1, ...segments }, ...(recentBytes === undefined ? {} : { recentBytes }) };
  const store = new BlobJobStore(options, { blobs, log: silentLogger });
  opened.push(store, blobs);
  return store;
}

async function segmentPaths(): Promise<string[]> {
  const root = join(dataDir, 'test', 'jobs');
  const names = await readdir(root, { recursive: true }).catch(() => []);
  return names
    .filter((name) => name.endsWith('.seg'))
    .sort()
    .map((name) => join(root, name));
}

/** As if the process had died and its files had not been touched for `ageMs`. */
async function makeOld(path: string, ageMs: number): Promise<void> {
  const then = new Date(Date.now() - ageMs);
  await utimes(path, then, then);
}

describe('JobStore/file: records', () => {
  test('a record comes back whole by its reference, also in another process', async () => {
    const store = openStore();
    const ref = await store.append(accept('job-a'), bytes('{"model":"chat"}'));
    for (const reader of [store, openStore({ recentBytes: 0 })]) {
      const answer = await reader.read(ref);
      expect(answer).toMatchObject({ kind: 'found', header: { kind: 'accept', spec: { id: 'job-a' } } });
      expect(answer.kind === 'found' && Buffer.from(answer.body).toString()).toBe('{"model":"chat"}');
      expect(await reader.readHeader(ref)).toEqual(accept('job-a'));
    }
  });

  test('a record without a body and one of some megabytes both come back', async () => {
    const store = openStore({ recentBytes: 0 });
    const large = Buffer.alloc(6 * 1_048_576, 'x');
    const [empty, big] = await Promise.all([
      store.append({ kind: 'void', jobId: 'job-a', acceptRef: 'r' }),
      store.append(accept('job-b'), large),
    ]);
    expect(await store.read(empty)).toMatchObject({ kind: 'found', header: { kind: 'void', jobId: 'job-a' } });
    const answer = await store.read(big);
    expect(answer.kind === 'found' && large.equals(answer.body)).toBe(true);
    expect(await store.readHeader(big)).toEqual(accept('job-b'));
  });

  test('a header longer than usual is read whole', async () => {
    const store = openStore({ recentBytes: 0 });
    const jobIds = Array.from({ length: 500 }, (_, index) => `job-${index}-of-a-long-list`);
    const ref = await store.append({ kind: 'gone', jobIds, acceptSegment: 'a.b' });
    expect(await store.readHeader(ref)).toMatchObject({ kind: 'gone', jobIds });
  });

  test.each([
    { name: 'no reference at all', ref: 'nonsense' },
    { name: 'a path out of the folder', ref: '../../etc.passwd:0:100' },
    { name: 'a run that climbs', ref: '..........aaaaaa:0:10' },
    { name: 'a negative offset', ref: 'aaaaaaaaaa.bbbbbb:-1:100' },
    { name: 'too many parts', ref: 'aaaaaaaaaa.bbbbbb:0:100:1' },
  ])('$name is refused without touching a file', async ({ ref }) => {
    expect(await openStore().read(ref)).toMatchObject({ kind: 'corrupt' });
    expect(await openStore().readHeader(ref)).toBeNull();
  });

  test('a record of a removed segment is gone, not an error', async () => {
    const store = openStore({ recentBytes: 0 });
    const ref = await store.append(accept('job-a'));
    for (const path of await segmentPaths()) await rm(path);
    expect(await openStore().read(ref)).toEqual({ kind: 'gone' });
    expect(await scanAll(openStore())).toEqual([]);
  });

  test('every flipped byte of a record is noticed', async () => {
    const ref = await openStore().append(accept('job-a'), bytes('body'));
    const [path = ''] = await segmentPaths();
    const original = await readFile(path);
    for (let offset = 0; offset < original.byteLength; offset += 1) {
      const damaged = Buffer.from(original);
      damaged.writeUInt8(damaged.readUInt8(offset) ^ 0x01, offset);
      await writeFile(path, damaged);
      expect((await openStore().read(ref)).kind, `byte ${offset}`).toBe('corrupt');
    }
  });
});

describe('JobStore/file: a torn tail', () => {
  test('cut at any byte, the last record vanishes and all before it stay', async () => {
    const store = openStore();
    await store.append(accept('job-a'), bytes('first body'));
    await store.append(accept('job-b'), bytes('second body'));
    const [path = ''] = await segmentPaths();
    const wholeBytes = (await stat(path)).size;
    await store.append(accept('job-c'), bytes('the one that was being written'));
    const original = await readFile(path);
    for (let sizeBytes = original.byteLength - 1; sizeBytes >= wholeBytes; sizeBytes -= 1) {
      await truncate(path, sizeBytes);
      expect(await scannedIds(openStore()), `cut at ${sizeBytes}`).toEqual(['job-a', 'job-b']);
    }
    await writeFile(path, original);
    expect(await scannedIds(openStore())).toEqual(['job-a', 'job-b', 'job-c']);
  });

  test('a tail whose length is there but not its bytes is cut too', async () => {
    const store = openStore();
    await store.append(accept('job-a'), bytes('body'));
    await store.append(accept('job-b'), bytes('body that the disk never got'));
    const [path = ''] = await segmentPaths();
    const { size } = await stat(path);
    await truncate(path, size - 5);
    await appendFile(path, Buffer.alloc(5));
    expect(await scannedIds(openStore())).toEqual(['job-a']);
  });

  test('a new process writes beside it, never into it', async () => {
    const dead = openStore();
    await dead.append(accept('job-a'), bytes('body'));
    const [path = ''] = await segmentPaths();
    await appendFile(path, 'torn');
    const torn = await readFile(path);
    const alive = openStore();
    await alive.append(accept('job-b'), bytes('body'));
    expect(await readFile(path)).toEqual(torn);
    expect(await scannedIds(alive)).toEqual(['job-a', 'job-b']);
  });
});

describe('JobStore/file: group commit', () => {
  test('an append resolves only after its sync, and many share one', async () => {
    const disk = watchedDisk();
    const store = openStore({}, { disk });
    let acknowledged = 0;
    disk.holdSyncs();
    const appends = Array.from({ length: 50 }, (_, index) =>
      store.append(accept(`job-${index}`)).then(() => {
        acknowledged += 1;
      }),
    );
    await disk.syncStarted();
    expect(acknowledged).toBe(0);
    disk.releaseSyncs();
    await Promise.all(appends);
    expect(acknowledged).toBe(50);
    expect(disk.syncs).toBe(1);
  });

  test('records behind a running sync share the next one', async () => {
    const disk = watchedDisk();
    const store = openStore({}, { disk });
    disk.holdSyncs();
    const first = store.append(accept('job-a'));
    await disk.syncStarted();
    const others = Array.from({ length: 20 }, (_, index) => store.append(accept(`job-${index}`)));
    disk.releaseSyncs();
    await Promise.all([first, ...others]);
    expect(disk.syncs).toBe(2);
  });

  test('a full allowance of unsynced bytes makes appends wait, then refuses them by name', async () => {
    const disk = watchedDisk();
    const store = openStore({ pendingBytes: 4_096, roomTimeoutMs: 30 }, { disk });
    disk.holdSyncs();
    const first = store.append(accept('job-a'), Buffer.alloc(3_500));
    await expect(store.append(accept('job-b'), Buffer.alloc(3_500))).rejects.toMatchObject({
      code: 'store_unavailable',
      message: expect.stringContaining('pendingBytes') as string,
    });
    const third = openWaits(store.append(accept('job-c'), Buffer.alloc(3_500)));
    disk.releaseSyncs();
    await first;
    await third;
    expect(await scannedIds(openStore())).toEqual(['job-a', 'job-c']);
  });

  test('a closed store has synced everything and takes nothing more', async () => {
    const store = openStore({ gatherMs: 1_000 });
    const pending = store.append(accept('job-a'));
    await store.close();
    await pending;
    await expect(store.append(accept('job-b'))).rejects.toMatchObject({ code: 'store_unavailable' });
  });
});

describe('JobStore/file: segments', () => {
  test('a segment ends at its size and references into all of them stay valid', async () => {
    const store = openStore({ segmentBytes: 2_048, recentBytes: 0, gatherMs: 0 });
    const refs: string[] = [];
    for (let index = 0; index < 12; index += 1)
      refs.push(await store.append(accept(`job-${index}`), Buffer.alloc(600)));
    expect((await segmentPaths()).length).toBeGreaterThanOrEqual(5);
    for (const [index, ref] of refs.entries()) {
      expect(await store.read(ref)).toMatchObject({ kind: 'found', header: { spec: { id: `job-${index}` } } });
    }
    expect(await scannedIds(openStore())).toEqual(refs.map((_, index) => `job-${index}`));
  });

  test('a segment ends at its age', async () => {
    let monotonicMs = 0;
    const clock: Clock = { ...systemClock, monotonicMs: () => monotonicMs };
    const store = openStore({ segmentAgeMs: 1_000 }, { clock });
    await store.append(accept('job-a'));
    monotonicMs = 999;
    await store.append(accept('job-b'));
    expect(await segmentPaths()).toHaveLength(1);
    monotonicMs = 1_000;
    await store.append(accept('job-c'));
    expect(await segmentPaths()).toHaveLength(2);
  });

  test('a scan of the store that writes shows only what is synced', async () => {
    const disk = watchedDisk();
    const store = openStore({}, { disk });
    await store.append(accept('job-a'));
    disk.holdSyncs();
    const second = store.append(accept('job-b'));
    await disk.syncStarted();
    expect(await scannedIds(store)).toEqual(['job-a']);
    disk.releaseSyncs();
    await second;
  });

  test('a scan tells its progress and can be stopped', async () => {
    const store = openStore({ segmentBytes: 1_024, gatherMs: 0 });
    for (let index = 0; index < 6; index += 1) await store.append(accept(`job-${index}`), Buffer.alloc(600));
    const seen: number[] = [];
    await allOf(store.scan(({ readBytes }) => seen.push(readBytes)));
    expect(seen.length).toBeGreaterThan(2);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    const stop = new AbortController();
    stop.abort(new Error('stopped'));
    await expect(allOf(store.scan(undefined, stop.signal))).rejects.toThrow('stopped');
  });
});

describe('JobStore/file: a disk that fails', () => {
  test.each(['write', 'sync', 'create'] as const)(
    'when %s fails nothing of the batch counts, and the store refuses until a test write works',
    async (step) => {
      const disk = watchedDisk();
      let monotonicMs = 0;
      const store = openStore({}, { disk, clock: { ...systemClock, monotonicMs: () => monotonicMs } });
      if (step !== 'create') await store.append(accept('job-a'), bytes('safe'));
      disk.failing = { step, code: 'ENOSPC' };
      const batch = await Promise.allSettled([store.append(accept('job-b')), store.append(accept('job-c'))]);
      for (const { status } of batch) expect(status).toBe('rejected');
      await expect(store.append(accept('job-d'))).rejects.toMatchObject({
        code: 'store_unavailable',
        httpStatus: 503,
        message: expect.stringContaining('disk is full') as string,
      });
      // What was written without being acknowledged is not shown, also before it is cut off.
      expect(await scannedIds(store)).toEqual(step === 'create' ? [] : ['job-a']);
      disk.failing = null;
      monotonicMs += 2_000;
      await store.append(accept('job-e'), bytes('after'));
      expect(await scannedIds(openStore())).toEqual(step === 'create' ? ['job-e'] : ['job-a', 'job-e']);
    },
  );

  test('it is probed at most once a second, and refuses while the probe fails', async () => {
    const disk = watchedDisk();
    let monotonicMs = 0;
    const store = openStore({}, { disk, clock: { ...systemClock, monotonicMs: () => monotonicMs } });
    await store.append(accept('job-a'));
    disk.failing = { step: 'sync', code: 'EIO' };
    await expect(store.append(accept('job-b'))).rejects.toThrow();
    disk.failing = { step: 'probe', code: 'EIO' };
    for (let turn = 0; turn < 5; turn += 1) await expect(store.append(accept('job-c'))).rejects.toThrow('EIO');
    expect(disk.probes).toBe(1);
    monotonicMs += 1_000;
    await expect(store.append(accept('job-c'))).rejects.toThrow('EIO');
    expect(disk.probes).toBe(2);
  });
});

describe('JobStore/file: retention', () => {
  const old = (store: BlobJobStore): Promise<unknown> => store.sweep(Date.now() + 3 * DAY_MS, DAY_MS);

  test('a segment goes when all its jobs have ended and its results are past retention', async () => {
    const store = openStore();
    const ref = await store.append(accept('job-a'), bytes('body'));
    await store.append(result('job-a', ref), bytes('answer'));
    const voided = await store.append(accept('job-b'));
    await store.append({ kind: 'void', jobId: 'job-b', acceptRef: voided });
    expect(await store.sweep(Date.now(), DAY_MS)).toMatchObject({ removedSegments: 0, keptSegments: 1 });
    expect(await old(store)).toMatchObject({ removedSegments: 1, keptSegments: 0 });
    expect(await scannedIds(openStore())).toEqual([]);
  });

  test('an unfinished job keeps its segment, however old', async () => {
    const store = openStore();
    const ref = await store.append(accept('job-a'));
    await store.append(result('job-a', ref));
    await store.append(accept('job-open'));
    expect(await old(store)).toMatchObject({ removedSegments: 0, keptSegments: 1 });
  });

  test('a job that ended in a later segment frees its own, and the other way round', async () => {
    const store = openStore({ segmentBytes: 1, gatherMs: 0 });
    const ref = await store.append(accept('job-a'));
    await store.append(result('job-a', ref));
    expect(await segmentPaths()).toHaveLength(2);
    expect(await old(store)).toMatchObject({ removedSegments: 2, keptSegments: 0 });
  });

  test('an old accept record stays for as long as the result of its job can be fetched', async () => {
    const store = openStore({ segmentBytes: 1, gatherMs: 0 });
    const ref = await store.append(accept('job-a'));
    const [acceptPath = ''] = await segmentPaths();
    const nowEpochMs = Date.now() + 3 * DAY_MS;
    await store.append(result('job-a', ref, nowEpochMs - DAY_MS / 2));
    await store.sweep(nowEpochMs, DAY_MS);
    expect(await segmentPaths()).toContain(acceptPath);
    await store.sweep(nowEpochMs + DAY_MS, DAY_MS);
    expect(await segmentPaths()).toEqual([]);
  });

  test('results that go while their accept records must stay leave a tombstone', async () => {
    const store = openStore({ segmentBytes: 1_500, gatherMs: 0 });
    const ref = await store.append(accept('job-a'), Buffer.alloc(600));
    await store.append(accept('job-open'), Buffer.alloc(100));
    await store.append(result('job-a', ref), Buffer.alloc(1_200));
    const [, withResult = ''] = await segmentPaths();
    expect(await old(store)).toMatchObject({ removedSegments: 1 });
    expect(await segmentPaths()).not.toContain(withResult);
    const headers = (await scanAll(openStore())).map(({ header }) => header);
    expect(headers).toContainEqual(expect.objectContaining({ kind: 'gone', jobIds: ['job-a'] }));
  });

  test('a tombstone is carried on for as long as its accept records stay', async () => {
    const store = openStore({ segmentBytes: 900, gatherMs: 0 });
    const ref = await store.append(accept('job-a'), Buffer.alloc(50));
    await store.append(accept('job-open'), Buffer.alloc(50));
    await store.append(result('job-a', ref), Buffer.alloc(900));
    for (let turn = 0; turn < 3; turn += 1) {
      await old(store);
      await store.append(accept(`job-filler-${turn}`), Buffer.alloc(900));
      const gone = (await scanAll(openStore())).filter(({ header }) => header.kind === 'gone');
      expect(gone.length, `sweep ${turn}`).toBeGreaterThanOrEqual(1);
    }
  });

  test('a segment that its process may still write is never touched', async () => {
    const store = openStore({ segmentAgeMs: 10 * DAY_MS });
    const ref = await store.append(accept('job-a'));
    await store.append(result('job-a', ref));
    for (const path of await segmentPaths()) await makeOld(path, 5 * DAY_MS);
    expect(await store.sweep(Date.now() + 2 * DAY_MS, DAY_MS)).toMatchObject({ removedSegments: 0 });
  });
});

/** Marks a promise as awaited later, so that its rejection in between is not unhandled. */
function openWaits<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}
