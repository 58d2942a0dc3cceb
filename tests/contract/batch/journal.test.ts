import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BlobJournal } from '../../../src/batch/adapters/lifecycle/blob-journal.ts';
import { advance } from '../../../src/batch/lifecycle/advance.ts';
import type { IndexedJournal } from '../../../src/batch/lifecycle/ports.ts';
import type { BatchDoc } from '../../../src/batch/ports.ts';
import type { BlobStore } from '../../../src/core/blobs.ts';
import { batchDoc } from '../../support/batch/batch-doc.ts';
import { MemoryBatchIndex, MemoryHints } from '../../support/batch/memory-lifecycle.ts';
import { MemoryBlobStore } from '../../support/memory-blob-store.ts';
import { silentLogger } from '../../support/silent-logger.ts';
import { type BlobWorld, folderWorld } from '../blob-stores.ts';

let folders: BlobWorld;
beforeAll(async () => {
  folders = await folderWorld();
});
afterAll(() => folders.close());

const stores: Record<string, () => Promise<BlobStore>> = {
  memory: () => Promise.resolve(new MemoryBlobStore()),
  'a folder': async () => (await folders.newPlace()).open(),
};

/** Journals of several processes over one store. */
class Shared {
  readonly index = new MemoryBatchIndex();
  readonly hints = new MemoryHints();
  readonly blobs: BlobStore;

  constructor(blobs: BlobStore) {
    this.blobs = blobs;
  }

  journal(): IndexedJournal {
    return new BlobJournal({ blobs: this.blobs, index: this.index, log: silentLogger, hints: this.hints });
  }
}

const signal = AbortSignal.timeout(60_000);
const noted = (doc: BatchDoc, note: string): BatchDoc => ({
  ...doc,
  generation: doc.generation + 1,
  metadata: { ...doc.metadata, [note]: 'x' },
});

describe.each(Object.keys(stores))('the journal of batches in %s', (kind) => {
  const open = async (): Promise<Shared> => new Shared((await stores[kind]?.()) ?? new MemoryBlobStore());

  it('is written once, and read from the copy or the store', async () => {
    const shared = await open();
    const journal = shared.journal();
    expect(await journal.create(batchDoc())).toEqual({ kind: 'advanced' });
    expect(await journal.create(batchDoc({ metadata: { other: 'x' } }))).toEqual({
      kind: 'conflict',
      current: batchDoc(),
    });
    expect(await journal.read('batch_1')).toEqual(batchDoc());
    shared.index.lose();
    expect(await journal.read('batch_1')).toEqual(batchDoc());
    expect(await journal.read('batch_none')).toBeNull();
    expect(await journal.read('../x')).toBeNull();
  });

  it('loses no change, however many processes change a batch at once', async () => {
    const shared = await open();
    await shared.journal().create(batchDoc());
    const writers = Array.from({ length: 8 }, () => shared.journal());
    await Promise.all(
      writers.map((journal, writer) => advance(journal, batchDoc(), (now) => noted(now, `note-${writer}`))),
    );
    const doc = await shared.journal().readStored('batch_1');
    expect(doc?.generation).toBe(9);
    expect(Object.keys(doc?.metadata ?? {}).sort()).toEqual(writers.map((_, writer) => `note-${writer}`));
  });

  it('meets a copy that is old: the change is made of the newest generation', async () => {
    const shared = await open();
    const journal = shared.journal();
    await journal.create(batchDoc());
    const second = noted(batchDoc(), 'second');
    await journal.advance(second);
    // As after a fail-over of Redis that lost the last write.
    shared.index.lose();
    await shared.index.put(batchDoc());
    const { doc } = await advance(journal, (await journal.read('batch_1')) ?? batchDoc(), (now) => noted(now, 'third'));
    expect(doc).toEqual(noted(second, 'third'));
    expect(await shared.index.read('batch_1')).toEqual(doc);
  });

  it('tells this process and others of every change', async () => {
    const shared = await open();
    const [mine, theirs] = [shared.journal(), shared.journal()];
    const heard: number[] = [];
    const both = Promise.withResolvers<undefined>();
    theirs.onChange((doc) => {
      heard.push(doc.generation);
      if (doc.generation === 2) both.resolve(undefined);
    });
    await mine.create(batchDoc());
    await mine.advance(noted(batchDoc(), 'a'));
    await both.promise;
    expect(heard).toContain(2);
  });

  it('tells an index that was away as soon as it is back', async () => {
    const shared = await open();
    let isAway = true;
    const put = shared.index.put.bind(shared.index);
    shared.index.put = (doc) => (isAway ? Promise.reject(new Error('away')) : put(doc));
    const journal = shared.journal();
    await journal.create(batchDoc());
    expect(await journal.read('batch_1')).toEqual(batchDoc());
    await expect(journal.catchUp()).rejects.toThrow('away');
    isAway = false;
    await journal.catchUp();
    expect(await shared.index.live()).toEqual(['batch_1']);
  });

  it('lists every batch with its newest generation, and forgets one that is removed', async () => {
    const shared = await open();
    const journal = shared.journal();
    const ids = Array.from({ length: 5 }, () => `batch_${randomUUID().replaceAll('-', '')}`).sort();
    for (const id of ids) {
      await journal.create(batchDoc({ id }));
      await journal.advance({ ...batchDoc({ id }), generation: 2 });
    }
    await shared.blobs.put(`batches/${ids[0]}/rows/1`, bytes('rows'));
    const generations = [];
    for await (const entry of journal.generations(signal)) generations.push(entry);
    expect(generations).toEqual(ids.map((id) => ({ id, generation: 2 })));
    await journal.remove(ids[0] ?? '');
    const left = [];
    for await (const doc of journal.all(signal)) left.push(doc.id);
    expect(left).toEqual(ids.slice(1));
    expect(await shared.blobs.info(`batches/${ids[0]}/rows/1`)).toBeNull();
  });

  it('says so when a generation is damaged', async () => {
    const shared = await open();
    await shared.blobs.put('batch-journal/batch_1/g00000001.json', bytes('{"id":'));
    await expect(shared.journal().read('batch_1')).rejects.toMatchObject({ code: 'store_unavailable' });
  });
});

async function* bytes(text: string): AsyncIterable<Uint8Array> {
  yield await Promise.resolve(Buffer.from(text));
}

describe('a store whose lists do not show yet what was just written', () => {
  it('does not hide the newest generation', async () => {
    const blobs = new MemoryBlobStore();
    const shared = new Shared(blobs);
    const [writer, other] = [shared.journal(), shared.journal()];
    const first = batchDoc();
    const second = noted(first, 'second');
    const third = noted(second, 'third');
    for (const doc of [first, second, third]) await writer.advance(doc);
    blobs.isUnlisted = (key) => !key.endsWith('g00000001.json');
    expect(await other.readStored(first.id)).toEqual(third);
    expect(await other.advance(noted(first, 'mine'))).toEqual({ kind: 'conflict', current: third });
    const { doc } = await advance(other, first, (current) => noted(current, 'mine'));
    expect(doc).toEqual(noted(third, 'mine'));
  });
});
