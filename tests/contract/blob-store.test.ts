import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { BlobStore } from '../../src/core/blobs.ts';
import { PilotlightError } from '../../src/core/errors.ts';
import { findMoto } from '../support/moto.ts';
import { type BlobPlace, type BlobWorld, folderWorld, s3World } from './blob-stores.ts';

const MIB = 1_048_576;
const moto = await findMoto();

async function* chunksOf(...texts: readonly (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield await Promise.resolve(Buffer.from(text));
}

/** Pieces of 64 KiB, as from a connection; each byte tells where it is. */
async function* pattern(bytes: number, onChunk: (done: number) => void = () => undefined): AsyncGenerator<Uint8Array> {
  for (let done = 0; done < bytes; done += 65_536) {
    onChunk(done);
    yield await Promise.resolve(patternAt(done, Math.min(65_536, bytes - done)));
  }
}

function patternAt(start: number, bytes: number): Buffer {
  const piece = Buffer.allocUnsafe(bytes);
  for (let index = 0; index < bytes; index += 1) piece[index] = ((start + index) * 31 + ((start + index) >> 12)) & 0xff;
  return piece;
}

async function textOf(source: AsyncIterable<Uint8Array> | null): Promise<string | null> {
  if (!source) return null;
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

async function keysOf(store: BlobStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}

describe.each([
  { name: 'folder', world: folderWorld, skip: false },
  { name: 's3', world: s3World, skip: moto.kind === 'missing' },
])('BlobStore/$name', ({ name, world: openWorld, skip }) => {
  describe.skipIf(skip)('', () => {
    let world: BlobWorld;
    let place: BlobPlace;
    let store: BlobStore;
    let opened: BlobStore[];

    beforeAll(async () => {
      world = await openWorld();
    });
    afterAll(() => world.close());
    beforeEach(async () => {
      place = await world.newPlace();
      opened = [];
      store = another();
    });
    afterEach(async () => {
      for (const each of opened) await each.close();
    });

    /** As another process sees it. */
    function another(): BlobStore {
      const one = place.open();
      opened.push(one);
      return one;
    }

    test('a blob that was put is there whole, for every store on the same place', async () => {
      expect(await store.put('files/a', chunksOf('hello ', 'world'))).toEqual({ kind: 'stored', bytes: 11 });
      for (const reader of [store, another()]) {
        expect(await textOf(await reader.read('files/a'))).toBe('hello world');
        expect(Buffer.from((await reader.readAll('files/a')) ?? []).toString()).toBe('hello world');
        const info = await reader.info('files/a');
        expect(info).toMatchObject({ key: 'files/a', bytes: 11 });
        expect(Math.abs((info?.modifiedAtEpochMs ?? 0) - Date.now())).toBeLessThan(60_000);
      }
    });

    test('an empty blob is a blob', async () => {
      expect(await store.put('files/empty', chunksOf())).toEqual({ kind: 'stored', bytes: 0 });
      expect(await store.info('files/empty')).toMatchObject({ bytes: 0 });
      expect(await textOf(await store.read('files/empty'))).toBe('');
      expect(await textOf(await store.read('files/empty', { firstByte: 0, lastByte: 9 }))).toBe('');
      expect((await store.readAll('files/empty'))?.byteLength).toBe(0);
    });

    test('a blob of many parts comes back byte for byte, also from its middle', { timeout: 60_000 }, async () => {
      const bytes = 20 * MIB + 12_345;
      expect(await store.put('files/large', pattern(bytes))).toEqual({ kind: 'stored', bytes });
      let done = 0;
      for await (const chunk of (await store.read('files/large')) ?? []) {
        if (!patternAt(done, chunk.byteLength).equals(chunk)) throw new Error(`other bytes at ${done}`);
        done += chunk.byteLength;
      }
      expect(done).toBe(bytes);
      const range = { firstByte: 8 * MIB - 5, lastByte: 8 * MIB + 5 };
      expect(await store.readAll('files/large', range)).toEqual(patternAt(range.firstByte, 11));
      expect(await place.unfinished()).toEqual([]);
    });

    test.each([
      { what: 'the first bytes', range: { firstByte: 0, lastByte: 3 }, text: '0123' },
      { what: 'one byte', range: { firstByte: 4, lastByte: 4 }, text: '4' },
      { what: 'more than there is', range: { firstByte: 7, lastByte: 99 }, text: '789' },
      { what: 'nothing of it', range: { firstByte: 10, lastByte: 20 }, text: '' },
    ])('a range is cut at the end of the blob: $what', async ({ range, text }) => {
      await store.put('files/digits', chunksOf('0123456789'));
      expect(await textOf(await store.read('files/digits', range))).toBe(text);
      expect(Buffer.from((await store.readAll('files/digits', range)) ?? [1]).toString()).toBe(text);
    });

    test('what is not there is null, and deleting it is no error', async () => {
      expect(await store.info('files/none')).toBeNull();
      expect(await store.read('files/none')).toBeNull();
      expect(await store.readAll('files/none')).toBeNull();
      expect(await store.readAll('jobs/none.seg', { firstByte: 0, lastByte: 9 })).toBeNull();
      await store.delete('files/none');
      await store.put('files/a', chunksOf('x'));
      await store.delete('files/a');
      expect(await store.info('files/a')).toBeNull();
      expect(await keysOf(store, '')).toEqual([]);
    });

    test('a put without a condition replaces what was there', async () => {
      await store.put('files/a', chunksOf('first'));
      await store.put('files/a', chunksOf('second'));
      expect(await textOf(await store.read('files/a'))).toBe('second');
    });

    test('of many that create one key exactly one does, and its bytes stay', async () => {
      const stores = Array.from({ length: 8 }, () => another());
      const answers = await Promise.all(
        stores.map((each, index) => each.put('batches/b/journal/1', chunksOf(`by ${index}`), { ifAbsent: true })),
      );
      const winner = answers.findIndex(({ kind }) => kind === 'stored');
      expect(answers.filter(({ kind }) => kind === 'stored')).toHaveLength(1);
      expect(await textOf(await store.read('batches/b/journal/1'))).toBe(`by ${winner}`);
      expect(await store.put('batches/b/journal/1', chunksOf('late'), { ifAbsent: true })).toEqual({ kind: 'exists' });
      expect(await place.unfinished()).toEqual([]);
    });

    test('creating a key with many parts is atomic too', { timeout: 60_000 }, async () => {
      const answers = await Promise.all(
        [another(), another()].map((each) => each.put('files/out', pattern(9 * MIB), { ifAbsent: true })),
      );
      expect(answers.map(({ kind }) => kind).sort()).toEqual(['exists', 'stored']);
      expect(await store.info('files/out')).toMatchObject({ bytes: 9 * MIB });
      expect(await place.unfinished()).toEqual([]);
    });

    test('a source that is not wanted is ended unread', async () => {
      await store.put('files/a', chunksOf('x'));
      let isEnded = false;
      const source: AsyncIterable<Uint8Array> = {
        [Symbol.asyncIterator]: () => ({
          next: () => Promise.reject(new Error('it was read')),
          return: () => {
            isEnded = true;
            return Promise.resolve({ done: true, value: undefined });
          },
        }),
      };
      expect(await store.put('files/a', source, { ifAbsent: true })).toEqual({ kind: 'exists' });
      expect(isEnded).toBe(true);
    });

    test.each([
      { what: 'a small', bytes: 100, maxBytes: 99 },
      { what: 'a large', bytes: 20 * MIB, maxBytes: 10 * MIB },
    ])('$what blob that is longer than allowed is refused while it is read', async ({ bytes, maxBytes }) => {
      let readBytes = 0;
      const put = store.put(
        'files/a',
        pattern(bytes, (done) => (readBytes = done)),
        { maxBytes },
      );
      await expect(put).rejects.toMatchObject({ code: 'file_too_large' });
      expect(readBytes).toBeLessThanOrEqual(maxBytes + 65_536);
      expect(await store.info('files/a')).toBeNull();
      expect(await place.unfinished()).toEqual([]);
    });

    test.each([{ afterBytes: 100 }, { afterBytes: 12 * MIB }])(
      'a source that breaks after $afterBytes bytes leaves nothing behind, and its error comes out as it is',
      async ({ afterBytes }) => {
        const broken = new Error('the client hung up');
        const put = store.put(
          'files/a',
          pattern(20 * MIB, (done) => {
            if (done >= afterBytes) throw broken;
          }),
        );
        await expect(put).rejects.toBe(broken);
        expect(await store.info('files/a')).toBeNull();
        expect(await place.unfinished()).toEqual([]);
      },
    );

    test('an abort ends a put whose source says nothing, with its reason', async () => {
      const stop = new AbortController();
      async function* silent(): AsyncGenerator<Uint8Array> {
        yield Buffer.from('begun');
        stop.abort(new Error('enough'));
        await new Promise(() => undefined);
      }
      await expect(store.put('files/a', silent(), { signal: stop.signal })).rejects.toThrow('enough');
      expect(await store.info('files/a')).toBeNull();
      expect(await place.unfinished()).toEqual([]);
    });

    test('an abort ends a read with its reason', async () => {
      await store.put('files/a', pattern(4 * MIB));
      const stop = new AbortController();
      const source = (await store.read('files/a', undefined, stop.signal)) ?? chunksOf();
      const reading = (async () => {
        for await (const chunk of source) if (chunk.byteLength > 0) stop.abort(new Error('enough'));
      })();
      await expect(reading).rejects.toThrow('enough');
    });

    test('a reader may stop in the middle, or never begin', async () => {
      await store.put('files/a', pattern(2 * MIB));
      for await (const chunk of (await store.read('files/a')) ?? []) if (chunk.byteLength > 0) break;
      await (await store.read('files/a'))?.[Symbol.asyncIterator]().return?.();
      await store.delete('files/a');
    });

    test('a list has everything below its prefix, in order of the keys', async () => {
      const keys = ['a-', 'a-b/c', 'a.b', 'a/b-c', 'a/b.d/e', 'a/b/c', 'a/b/d', 'a/bc', 'ab/c', 'b/z', 'B/z', 'b_/x'];
      for (const key of keys) await store.put(`list/${key}`, chunksOf(key));
      await store.put('other/x', chunksOf('x'));
      expect(await keysOf(another(), 'list/')).toEqual(keys.map((key) => `list/${key}`).sort());
      expect(await keysOf(store, 'list/a/b/')).toEqual(['list/a/b/c', 'list/a/b/d']);
      expect(await keysOf(store, 'nothing/')).toEqual([]);
      expect(await keysOf(store, '')).toHaveLength(keys.length + 1);
    });

    test.each(['', '/a', 'a/', 'a//b', '.', '../a', 'a/../b', 'a/./b', 'a b', 'ä', 'a\0b', '~x', 'x'.repeat(513)])(
      'the key %j is refused',
      async (key) => {
        await expect(store.put(key, chunksOf('x'))).rejects.toThrow(TypeError);
        await expect(store.info(key)).rejects.toThrow(TypeError);
        await expect(store.readAll(key)).rejects.toThrow(TypeError);
        await expect(store.delete(key)).rejects.toThrow(TypeError);
      },
    );

    test('a prefix that is none is refused', async () => {
      await expect(keysOf(store, 'a')).rejects.toThrow(TypeError);
      await expect(keysOf(store, '../')).rejects.toThrow(TypeError);
      expect(() => store.openLog('../')).toThrow(TypeError);
    });

    test('records of a log can be read by their place at once, from everywhere', async () => {
      const log = store.openLog('batches/b/rows/', { gatherMs: 0 });
      const places = await Promise.all(
        Array.from({ length: 20 }, (_, index) => log.append([Buffer.from(`record `), Buffer.from(`${index};`)])),
      );
      for (const [index, { key, offsetBytes, lengthBytes }] of places.entries()) {
        expect(key.startsWith('batches/b/rows/')).toBe(true);
        const range = { firstByte: offsetBytes, lastByte: offsetBytes + lengthBytes - 1 };
        for (const reader of [store, another()]) {
          expect(Buffer.from((await reader.readAll(key, range)) ?? []).toString()).toBe(`record ${index};`);
        }
      }
      await log.close();
      await expect(log.append([Buffer.from('late')])).rejects.toMatchObject({ code: 'store_unavailable' });
    });

    test('two logs under one prefix never write to one segment', async () => {
      const logs = [store.openLog('jobs/'), store.openLog('jobs/'), another().openLog('jobs/')];
      const places = await Promise.all(logs.map((log) => log.append([Buffer.from('x')])));
      expect(new Set(places.map(({ key }) => key)).size).toBe(3);
      expect(await keysOf(store, 'jobs/')).toEqual(places.map(({ key }) => key).sort());
    });

    test('what an earlier life left unfinished is swept once it is old enough', async () => {
      const hanging = new AbortController();
      let hangs: () => void = () => undefined;
      const isHanging = new Promise<void>((resolve) => (hangs = resolve));
      async function* endless(): AsyncGenerator<Uint8Array> {
        yield* pattern(20 * MIB);
        hangs();
        await new Promise(() => undefined);
      }
      const put = store.put('files/a', endless(), { signal: hanging.signal });
      await isHanging;
      expect(await place.unfinished()).toHaveLength(1);
      // A century: moto says of every upload that it began in 2010.
      expect(await another().sweepUnfinished(100 * 365 * 86_400_000)).toBe(0);
      expect(await place.unfinished()).toHaveLength(1);
      expect(await another().sweepUnfinished(-60_000)).toBe(1);
      expect(await place.unfinished()).toEqual([]);
      hanging.abort(new Error('over'));
      await expect(put).rejects.toThrow('over');
    });

    test('room is known of a folder and unknown of a bucket', async () => {
      const bytes = await store.freeBytes();
      if (name === 'folder') expect(bytes).toBeGreaterThan(0);
      else expect(bytes).toBeNull();
    });

    test('a failure of the source that is one of ours stays what it is', async () => {
      const refused = new PilotlightError('invalid_file', 'not UTF-8');
      const put = store.put(
        'files/a',
        pattern(10, () => {
          throw refused;
        }),
      );
      await expect(put).rejects.toBe(refused);
    });
  });
});
