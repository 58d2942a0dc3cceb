import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { BlobStore, SegmentLogSettings } from '../../src/core/blobs.ts';
import { BlobJobStore } from '../../src/queue/adapters/job-store/blob-job-store.ts';
import { accept, allOf, bytes, result, scanAll, scannedIds } from '../support/job-records.ts';
import { findMoto } from '../support/moto.ts';
import { silentLogger } from '../support/silent-logger.ts';
import { type BlobPlace, type BlobWorld, folderWorld, s3World } from './blob-stores.ts';

const DAY_MS = 86_400_000;
const moto = await findMoto();

describe.each([
  { name: 'folder', world: folderWorld, skip: false },
  { name: 's3', world: s3World, skip: moto.kind === 'missing' },
])('JobStore/$name, shared by several processes', ({ world: openWorld, skip }) => {
  describe.skipIf(skip)('', () => {
    let world: BlobWorld;
    let place: BlobPlace;
    let opened: { close(): Promise<void> }[];

    beforeAll(async () => {
      world = await openWorld();
    });
    afterAll(() => world.close());
    beforeEach(async () => {
      place = await world.newPlace();
      opened = [];
    });
    afterEach(async () => {
      for (const each of opened) await each.close();
    });

    /** A process of its own: nothing of the others is in its memory. */
    function openProcess(segments: Partial<SegmentLogSettings> = {}): { store: BlobJobStore; blobs: BlobStore } {
      const blobs = place.open();
      const options = { segments: { gatherMs: 1, ...segments }, recentBytes: 0 };
      const store = new BlobJobStore(options, { blobs, log: silentLogger });
      opened.push(store, blobs);
      return { store, blobs };
    }

    const openStore = (segments?: Partial<SegmentLogSettings>): BlobJobStore => openProcess(segments).store;
    /** As a sweep three days from now would see it. */
    const sweepLater = (store: BlobJobStore) => store.sweep(Date.now() + 3 * DAY_MS, DAY_MS);

    async function segmentCount(): Promise<number> {
      return (await allOf(place.open().list('jobs/'))).length;
    }

    test('a record comes back whole by its reference, in every process', async () => {
      const writer = openStore();
      const ref = await writer.append(accept('job-a'), bytes('{"model":"chat"}'));
      for (const reader of [writer, openStore()]) {
        const answer = await reader.read(ref);
        expect(answer).toMatchObject({ kind: 'found', header: { kind: 'accept', spec: { id: 'job-a' } } });
        expect(answer.kind === 'found' && Buffer.from(answer.body).toString()).toBe('{"model":"chat"}');
        expect(await reader.readHeader(ref)).toEqual(accept('job-a'));
      }
    });

    test('a record without a body and one of some megabytes both come back', async () => {
      const store = openStore();
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
      const store = openStore();
      const jobIds = Array.from({ length: 500 }, (_, index) => `job-${index}-of-a-long-list`);
      const ref = await store.append({ kind: 'gone', jobIds, acceptSegment: 'a.b' });
      expect(await store.readHeader(ref)).toMatchObject({ kind: 'gone', jobIds });
    });

    test('a reference to more than there is, is corrupt and reserves no memory', async () => {
      const store = openStore();
      const ref = await store.append(accept('job-a'), bytes('body'));
      const [segment = ''] = ref.split(':');
      expect(await store.read(`${segment}:0:999999999999999`)).toMatchObject({ kind: 'corrupt' });
      expect(await store.read(`${segment}:999999:100`)).toMatchObject({ kind: 'corrupt' });
      expect(await store.read('aaaaaaaaaa.bbbbbbbb:0:10')).toEqual({ kind: 'gone' });
    });

    test('a scan shows the records of all processes, in the order of their segments, and tells its progress', async () => {
      const [first, second] = [openStore(), openStore()];
      const ids: string[] = [];
      for (let turn = 0; turn < 40; turn += 1) {
        const id = `job-${turn}`;
        ids.push(id);
        await (turn % 2 === 0 ? first : second).append(accept(id), Buffer.alloc(700));
      }
      const seen: number[] = [];
      const scanned = await allOf(openStore().scan(({ readBytes }) => seen.push(readBytes)));
      const found = scanned.map(({ header }) => (header.kind === 'accept' ? header.spec.id : ''));
      expect([...found].sort()).toEqual([...ids].sort());
      expect(found.filter((id) => Number(id.slice(4)) % 2 === 0)).toEqual(ids.filter((_, turn) => turn % 2 === 0));
      expect(seen).toEqual([...seen].sort((a, b) => a - b));
      expect(seen.at(-1)).toBeGreaterThan(40 * 700);
      for (const { ref, header } of scanned) expect(await first.readHeader(ref)).toEqual(header);
    });

    test('a scan passes over what another process removes meanwhile', async () => {
      const { store, blobs } = openProcess({ segmentBytes: 1, gatherMs: 0 });
      for (let turn = 0; turn < 30; turn += 1) await store.append(accept(`job-${turn}`));
      const found: string[] = [];
      for await (const { header } of openStore().scan()) {
        found.push(header.kind);
        if (found.length > 1) continue;
        const keys = (await allOf(blobs.list('jobs/'))).map(({ key }) => key);
        for (const key of keys.slice(20)) await blobs.delete(key);
      }
      expect(found.length).toBeGreaterThanOrEqual(20);
      expect(found.length).toBeLessThan(30);
    });

    test('a scan can be stopped', async () => {
      const store = openStore();
      await store.append(accept('job-a'));
      const stop = new AbortController();
      stop.abort(new Error('stopped'));
      await expect(allOf(store.scan(undefined, stop.signal))).rejects.toThrow('stopped');
    });

    test('jobs that have ended go with their results, whoever wrote which; unfinished ones stay', async () => {
      const [gateway, other] = [openStore({ segmentBytes: 1 }), openStore({ segmentBytes: 1 })];
      const ended = await gateway.append(accept('job-ended'), bytes('body'));
      await other.append(result('job-ended', ended), bytes('answer'));
      const voided = await other.append(accept('job-void'));
      await other.append({ kind: 'void', jobId: 'job-void', acceptRef: voided });
      await gateway.append(accept('job-open'));
      expect(await openStore().sweep(Date.now(), DAY_MS)).toMatchObject({ removedSegments: 0 });
      expect(await sweepLater(openStore())).toMatchObject({ removedSegments: 4, keptSegments: 1 });
      expect(await scannedIds(openStore())).toEqual(['job-open']);
    });

    test('a segment that a foreign process may still write is never removed', async () => {
      const foreign = openStore({ segmentAgeMs: 10 * DAY_MS });
      const ref = await foreign.append(accept('job-a'));
      await foreign.append(result('job-a', ref));
      expect(await sweepLater(openStore({ segmentAgeMs: 10 * DAY_MS }))).toMatchObject({ removedSegments: 0 });
      const next = await foreign.append(accept('job-b'));
      expect(await openStore().readHeader(next)).toEqual(accept('job-b'));
    });

    test('sweeps of several processes at once lose nothing that is open and nothing that ended comes back', async () => {
      const writer = openStore({ segmentBytes: 1, gatherMs: 0 });
      for (let turn = 0; turn < 12; turn += 1) {
        // An unfinished neighbour keeps the segment of every third accept record, so that its end needs a tombstone.
        const appends = [writer.append(accept(`job-${turn}`))];
        if (turn % 3 === 0) appends.push(writer.append(accept(`job-open-${turn}`)));
        const [ref = ''] = await Promise.all(appends);
        await writer.append(result(`job-${turn}`, ref));
      }
      const before = await segmentCount();
      await Promise.all([openStore(), openStore(), openStore()].map(sweepLater));
      expect(await segmentCount()).toBeLessThan(before);
      const headers = (await scanAll(openStore())).map(({ header }) => header);
      const ended = new Set(
        headers.flatMap((header) => {
          if (header.kind === 'gone') return header.jobIds;
          return header.kind === 'result' ? [header.jobId] : [];
        }),
      );
      const open = headers.flatMap((header) =>
        header.kind === 'accept' && !ended.has(header.spec.id) ? [header.spec.id] : [],
      );
      expect([...new Set(open)].sort()).toEqual(['job-open-0', 'job-open-3', 'job-open-6', 'job-open-9']);
    });
  });
});
