import type { BlobStore, ByteRange } from '../../core/blobs.ts';
import type { Clock } from '../../core/clock.ts';
import { asError, PilotlightError } from '../../core/errors.ts';
import type { FileService, FileSpool, NewFile, Page, StoredFile } from '../../core/files.ts';
import type { Logger } from '../../core/logger.ts';
import {
  checkExpiresAfter,
  checkExtension,
  checkedFilename,
  checkedPurpose,
  emptyFile,
  expiryOf,
  type FileLimits,
  fileNotFound,
  fileTooLarge,
  notUtf8,
  quotaProblem,
  shown,
  sizeLimit,
} from '../policy/files/file-rules.ts';
import { fileDataKey, isBatchId, isFileId } from '../policy/files/keys.ts';
import { joinsToUtf8 } from '../policy/files/text-edges.ts';
import type { FileCabinet } from '../ports.ts';
import type { FileIntake, Taken } from './file-intake.ts';
import type { FileRecords } from './file-records.ts';
import type { IndexKeeper } from './index-keeper.ts';
import type { FileIds, FileIndex, FileListRequest } from './ports.ts';

export interface StoredFilesDeps {
  readonly store: BlobStore;
  readonly records: FileRecords;
  readonly intake: FileIntake;
  readonly index: FileIndex;
  readonly keeper: IndexKeeper;
  readonly ids: FileIds;
  readonly clock: Clock;
  readonly log: Logger;
  readonly limits: FileLimits;
}

/** Files read from the index at a time. */
const PAGE_STEP = 500;

/** Files over a blob store, which is the truth, and an index, which is quick. */
export class StoredFiles implements FileService, FileCabinet {
  readonly #deps: StoredFilesDeps;

  constructor(deps: StoredFilesDeps) {
    this.#deps = deps;
  }

  async receive(tenant: string, source: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<FileSpool> {
    const { intake, ids, index, limits, store } = this.#deps;
    const full = quotaProblem(await index.totals(tenant), 0, limits);
    if (full) throw full;
    const id = ids.file();
    const limit = { bytes: limits.fileBytes, setting: 'batches.file' };
    const taken = await intake.take(fileDataKey(id), source, { tenant, limit }, signal);
    let isFile = false;
    const discard = async () => {
      if (!isFile) await store.delete(fileDataKey(id));
    };
    return {
      bytes: taken.bytes,
      commit: async (file) => {
        try {
          const made = await this.#commit(id, taken, file);
          isFile = true;
          return made;
        } catch (thrown) {
          await discard();
          throw thrown;
        }
      },
      discard,
    };
  }

  async #commit(id: string, taken: Taken, file: NewFile & { readonly purpose: string }): Promise<StoredFile> {
    const { index, limits, clock } = this.#deps;
    const purpose = checkedPurpose(file.purpose);
    const filename = checkedFilename(file.filename);
    checkExpiresAfter(file.expiresAfterMs);
    checkExtension(filename, purpose, limits.fileExtensions);
    if (taken.bytes === 0) throw emptyFile();
    const limit = sizeLimit(purpose, limits);
    if (taken.bytes > limit.bytes) throw fileTooLarge(limit);
    if (purpose === 'batch' && !joinsToUtf8([taken.edges])) throw notUtf8();
    const full = quotaProblem(await index.totals(file.tenant), taken.bytes, limits);
    if (full) throw full;
    const nowEpochMs = clock.epochMs();
    return this.publish({
      id,
      tenant: file.tenant,
      bytes: taken.bytes,
      createdAtEpochMs: nowEpochMs,
      expiresAtEpochMs: expiryOf({ ...file, purpose }, nowEpochMs, limits.fileRetentionMs),
      filename,
      purpose,
      parts: [{ key: fileDataKey(id), bytes: taken.bytes }],
      etag: taken.sha256,
    });
  }

  /** Makes it a file whose bytes are there; when there is one with this id, that one stays. */
  async publish(file: StoredFile): Promise<StoredFile> {
    const { records, index, log } = this.#deps;
    const created = await records.create(file);
    const stored = created ? file : ((await records.readEvenExpired(file.id)) ?? file);
    try {
      await index.add(stored);
    } catch (thrown) {
      // It is a file; the sweep lists what the index missed.
      log.warn({ fileId: file.id, problem: asError(thrown).message }, 'file.index_failed');
    }
    return stored;
  }

  async get(id: string, tenant: string): Promise<StoredFile> {
    const file = await this.#deps.records.read(id);
    if (file?.tenant === tenant) return file;
    throw fileNotFound(id);
  }

  async list(tenant: string, request: FileListRequest): Promise<Page<StoredFile>> {
    const { keeper, records } = this.#deps;
    await keeper.whenComplete();
    const items: StoredFile[] = [];
    let after = request.after;
    let more = true;
    while (more && items.length <= request.limit) {
      const limit = Math.min(PAGE_STEP, request.limit + 1 - items.length);
      const page = await this.#page(tenant, { ...request, after, limit });
      items.push(...page.items.filter((file) => !records.hasExpired(file)));
      after = page.items.at(-1)?.id ?? after;
      more = page.hasMore;
    }
    return { items: items.slice(0, request.limit), hasMore: items.length > request.limit };
  }

  async #page(tenant: string, request: FileListRequest): Promise<Page<StoredFile>> {
    const page = await this.#deps.index.page(tenant, request);
    if (page) return page;
    const message = `Invalid 'after': no File object with id '${shown(request.after ?? '')}'.`;
    throw new PilotlightError('invalid_value', message, { param: 'after' });
  }

  read(file: StoredFile, range?: ByteRange, signal?: AbortSignal): AsyncIterable<Uint8Array> {
    return this.#deps.records.bytes(file, range ?? null, signal);
  }

  async delete(id: string, tenant: string): Promise<void> {
    const { records, index, log } = this.#deps;
    const file = await this.get(id, tenant);
    await index.remove(id, tenant);
    try {
      await records.delete(file);
    } catch (thrown) {
      // It may still be there: then it is listed.
      const back = records.readEvenExpired(id).then((kept) => kept && index.add(kept));
      await back.catch((failed: unknown) => {
        log.warn({ fileId: id, problem: asError(failed).message }, 'file.index_failed');
      });
      throw thrown;
    }
  }

  async createOutput(
    file: Parameters<FileCabinet['createOutput']>[0],
    source: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<StoredFile> {
    const { records, intake, index, clock, limits } = this.#deps;
    if (!isFileId(file.id)) throw new PilotlightError('internal_error', `'${file.id}' cannot be the id of a file.`);
    const there = await records.readEvenExpired(file.id);
    if (there && (await records.read(file.id))) return there;
    if (there) {
      // It expired before anybody could be told of it.
      await index.remove(there.id, there.tenant);
      await records.delete(there);
    }
    const key = fileDataKey(file.id);
    const taken = await intake.takeOwn(key, source, signal);
    const nowEpochMs = clock.epochMs();
    return this.publish({
      id: file.id,
      tenant: file.tenant,
      bytes: taken.bytes,
      createdAtEpochMs: nowEpochMs,
      expiresAtEpochMs: expiryOf({ ...file, purpose: 'batch_output' }, nowEpochMs, limits.fileRetentionMs),
      filename: checkedFilename(file.filename),
      purpose: 'batch_output',
      parts: [{ key, bytes: taken.bytes }],
      etag: taken.sha256,
    });
  }

  hold(fileId: string, batchId: string): Promise<void> {
    if (!isFileId(fileId) || !isBatchId(batchId)) return Promise.reject(fileNotFound(fileId));
    return this.#deps.records.hold(fileId, batchId);
  }

  release(fileId: string, batchId: string): Promise<void> {
    if (!isFileId(fileId) || !isBatchId(batchId)) return Promise.resolve();
    return this.#deps.records.release(fileId, batchId);
  }
}
