import type { BlobStore, ByteRange } from '../../core/blobs.ts';
import type { Clock } from '../../core/clock.ts';
import { PilotlightError } from '../../core/errors.ts';
import type { StoredFile } from '../../core/files.ts';
import { slicesOf } from '../policy/files/byte-parts.ts';
import { fileNotFound } from '../policy/files/file-rules.ts';
import { fileDocKey, holdKey, holdsPrefix, isFileId } from '../policy/files/keys.ts';
import { createJson, readJson } from './json-blobs.ts';

/** A hold is written before the batch that it is for; younger ones are never doubted. */
const DOUBT_HOLDS_AFTER_MS = 3_600_000;

export interface FileRecordsDeps {
  readonly store: BlobStore;
  readonly clock: Clock;
  /** Whether the batch may still read its file. */
  readonly isUnfinished: (batchId: string) => Promise<boolean>;
}

/** Files as the store has them: the truth of what files there are. */
export class FileRecords {
  readonly #deps: FileRecordsDeps;

  constructor(deps: FileRecordsDeps) {
    this.#deps = deps;
  }

  /** False when there is a file with this id; it stays as it is. */
  create(file: StoredFile): Promise<boolean> {
    return createJson(this.#deps.store, fileDocKey(file.id), file);
  }

  /** Null for a file that there is not, or that has expired and is not held. */
  async read(id: string): Promise<StoredFile | null> {
    const file = await this.readEvenExpired(id);
    if (!file || !this.hasExpired(file)) return file;
    return (await this.isHeld(id)) ? file : null;
  }

  async readEvenExpired(id: string): Promise<StoredFile | null> {
    if (!isFileId(id)) return null;
    return (await readJson(this.#deps.store, fileDocKey(id))) as StoredFile | null;
  }

  hasExpired({ expiresAtEpochMs }: Pick<StoredFile, 'expiresAtEpochMs'>): boolean {
    return expiresAtEpochMs !== null && expiresAtEpochMs <= this.#deps.clock.epochMs();
  }

  /** Written before the file is looked at, so that whoever deletes it sees one or the other. */
  async hold(id: string, batchId: string): Promise<void> {
    await createJson(this.#deps.store, holdKey(id, batchId), { batchId });
    if (await this.readEvenExpired(id)) return;
    await this.release(id, batchId);
    throw fileNotFound(id);
  }

  release(id: string, batchId: string): Promise<void> {
    return this.#deps.store.delete(holdKey(id, batchId));
  }

  async isHeld(id: string): Promise<boolean> {
    return (await this.holder(id)) !== null;
  }

  /** A batch that still reads the file; null = none. Holds that their batches forgot are removed. */
  async holder(id: string): Promise<string | null> {
    const { store, clock, isUnfinished } = this.#deps;
    for await (const { key, modifiedAtEpochMs } of store.list(holdsPrefix(id))) {
      const batchId = key.slice(holdsPrefix(id).length);
      const isYoung = clock.epochMs() - modifiedAtEpochMs < DOUBT_HOLDS_AFTER_MS;
      if (isYoung || (await isUnfinished(batchId))) return batchId;
      await this.release(id, batchId);
    }
    return null;
  }

  /** The file is gone once this resolves. `file_in_use` when a batch reads it, also one that began to a moment ago. */
  async delete(file: StoredFile): Promise<void> {
    const { store } = this.#deps;
    await this.#refuseHeld(file.id);
    await store.delete(fileDocKey(file.id));
    try {
      await this.#refuseHeld(file.id);
    } catch (thrown) {
      await this.create(file);
      throw thrown;
    }
    for (const { key } of file.parts) await store.delete(key);
  }

  /** The bytes, or those of a range. Throws `file_not_found` when they are gone. */
  async *bytes(file: StoredFile, range: ByteRange | null, signal?: AbortSignal): AsyncIterable<Uint8Array> {
    for (const slice of slicesOf(file.parts, range)) {
      const source = await this.#deps.store.read(slice.key, slice.range ?? undefined, signal);
      if (!source) throw fileNotFound(file.id);
      yield* source;
    }
  }

  async #refuseHeld(id: string): Promise<void> {
    const batchId = await this.holder(id);
    if (batchId === null) return;
    const message = `The file '${id}' is read by the batch '${batchId}'. Delete it when the batch has ended, or cancel the batch.`;
    throw new PilotlightError('file_in_use', message, { param: 'id' });
  }
}
