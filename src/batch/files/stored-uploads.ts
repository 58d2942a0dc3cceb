import type { BlobStore } from '../../core/blobs.ts';
import type { Clock } from '../../core/clock.ts';
import { PilotlightError } from '../../core/errors.ts';
import type { NewFile, StoredFile, UploadPart, UploadService, UploadView } from '../../core/files.ts';
import { formatBytes } from '../../core/units.ts';
import {
  checkExpiresAfter,
  checkExtension,
  checkedFilename,
  checkedPurpose,
  expiryOf,
  type FileLimits,
  fileTooLarge,
  notUtf8,
  quotaProblem,
  shown,
  sizeLimit,
} from '../policy/files/file-rules.ts';
import { fileIdOfUpload, partDataKey } from '../policy/files/keys.ts';
import { joinsToUtf8 } from '../policy/files/text-edges.ts';
import {
  MAX_PARTS,
  type PartDoc,
  partsRoom,
  type UploadDoc,
  type UploadEnd,
  uploadClosed,
  uploadStatus,
  uploadView,
} from '../policy/files/upload-doc.ts';
import type { FileIntake } from './file-intake.ts';
import type { Digests, FileIds, FileIndex } from './ports.ts';
import type { StoredFiles } from './stored-files.ts';
import type { UploadRecords } from './upload-records.ts';

export interface StoredUploadsDeps {
  readonly store: BlobStore;
  readonly records: UploadRecords;
  readonly files: StoredFiles;
  readonly intake: FileIntake;
  readonly index: FileIndex;
  readonly digests: Digests;
  readonly ids: FileIds;
  readonly clock: Clock;
  readonly limits: FileLimits;
}

/** Uploads of one tenant that are open at the same time. */
const MAX_OPEN_UPLOADS = 1_000;
const RETRY_AFTER_MS = 60_000;

/** Uploads whose parts become the parts of the file: nothing is copied. */
export class StoredUploads implements UploadService {
  readonly #deps: StoredUploadsDeps;

  constructor(deps: StoredUploadsDeps) {
    this.#deps = deps;
  }

  async create(
    upload: NewFile & { readonly purpose: string; readonly bytes: number; readonly mimeType: string },
  ): Promise<UploadView> {
    const { limits, index, intake, ids, clock, records } = this.#deps;
    const purpose = checkedPurpose(upload.purpose);
    const filename = checkedFilename(upload.filename);
    checkExpiresAfter(upload.expiresAfterMs);
    checkExtension(filename, purpose, limits.fileExtensions);
    const limit = sizeLimit(purpose, limits);
    if (upload.bytes > limit.bytes) throw fileTooLarge(limit);
    const full = quotaProblem(await index.totals(upload.tenant), upload.bytes, limits);
    if (full) throw full;
    await intake.checkRoom(upload.bytes);
    const nowEpochMs = clock.epochMs();
    const doc: UploadDoc = {
      id: ids.upload(),
      tenant: upload.tenant,
      declaredBytes: upload.bytes,
      createdAtEpochMs: nowEpochMs,
      expiresAtEpochMs: nowEpochMs + limits.uploadLifetimeMs,
      filename,
      purpose,
      expiresAfterMs: upload.expiresAfterMs,
    };
    const { tenant, id, expiresAtEpochMs } = doc;
    if (!(await index.openUpload(tenant, id, expiresAtEpochMs, nowEpochMs, MAX_OPEN_UPLOADS))) {
      const message = `You have ${MAX_OPEN_UPLOADS} open uploads (the limit). Complete or cancel some first.`;
      throw new PilotlightError('uploads_full', message, { retryAfterMs: RETRY_AFTER_MS });
    }
    await records.create(doc);
    return uploadView(doc, null, nowEpochMs);
  }

  async addPart(
    id: string,
    tenant: string,
    source: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<UploadPart> {
    const { records, intake, ids, clock, limits } = this.#deps;
    const doc = await this.#pending(id, tenant);
    const received = await records.received(id);
    if (received.parts >= MAX_PARTS || received.bytes >= partsRoom(doc, limits.uploadPartBytes)) {
      const message = `The upload '${id}' has received ${received.parts} parts with ${formatBytes(received.bytes)}, far more than its 'bytes'. Cancel it and begin again.`;
      throw new PilotlightError('file_too_large', message, { param: 'data' });
    }
    const partId = ids.part();
    const limit = { bytes: limits.uploadPartBytes, setting: 'batches.uploadPart' };
    const taken = await intake.take(partDataKey(id, partId), source, { tenant, limit }, signal);
    const { bytes, sha256, edges } = taken;
    const part: PartDoc = { id: partId, bytes, createdAtEpochMs: clock.epochMs(), sha256, edges };
    try {
      if (bytes === 0) throw new PilotlightError('invalid_file', 'The part is empty.', { param: 'data' });
      await records.addPart(id, part);
      // It may have been closed while the bytes came.
      await this.#pending(id, tenant);
    } catch (thrown) {
      await records.deletePart(id, partId);
      throw thrown;
    }
    return { id: partId, uploadId: id, createdAtEpochMs: part.createdAtEpochMs };
  }

  async complete(id: string, tenant: string, partIds: readonly string[], md5: string | null): Promise<UploadView> {
    const { records, clock } = this.#deps;
    const doc = await this.#read(id, tenant);
    const ended = await records.end(id);
    if (ended) return this.#again(doc, ended, partIds);
    this.#checkPending(doc, null);
    const parts = await this.#parts(doc, partIds);
    const file = this.#fileOf(doc, parts);
    if (md5 !== null) await this.#checkMd5(file, md5);
    const end = await records.close(id, { status: 'completed', file, partIds });
    if (end.status !== 'completed' || end.file.etag !== file.etag) return this.#again(doc, end, partIds);
    await this.#finish(doc, end.file);
    return uploadView(doc, end, clock.epochMs());
  }

  /** The same call once more has the same answer, also when the first one broke off half-way. */
  async #again(doc: UploadDoc, end: UploadEnd, partIds: readonly string[]): Promise<UploadView> {
    const { store, clock } = this.#deps;
    const isSame = end.status === 'completed' && end.partIds.join() === partIds.join();
    if (!isSame) throw uploadClosed(doc.id, end.status);
    const [first] = end.file.parts;
    // Without its content it was deleted since.
    if (first && (await store.info(first.key))) await this.#finish(doc, end.file);
    return uploadView(doc, end, clock.epochMs());
  }

  async #finish(doc: UploadDoc, file: StoredFile): Promise<void> {
    const { files, records, index } = this.#deps;
    await files.publish(file);
    await records.deleteContents(doc.id, new Set(file.parts.map(({ key }) => key)));
    await index.closeUpload(doc.tenant, doc.id);
  }

  async #parts(doc: UploadDoc, partIds: readonly string[]): Promise<readonly PartDoc[]> {
    if (partIds.length === 0 || partIds.length > MAX_PARTS) {
      throw wrongParts(`must have 1 to ${MAX_PARTS} ids, and has ${partIds.length}`);
    }
    if (new Set(partIds).size < partIds.length) throw wrongParts('names a part twice');
    const parts: PartDoc[] = [];
    for (const partId of partIds) {
      const part = await this.#deps.records.part(doc.id, partId);
      if (!part) throw wrongParts(`the upload has no part '${shown(partId)}'`);
      parts.push(part);
    }
    const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
    if (bytes === doc.declaredBytes) return parts;
    const message = `The parts have ${bytes} bytes together, and the upload was made for ${doc.declaredBytes}. Send what is missing, or list other parts.`;
    throw new PilotlightError('invalid_value', message, { param: 'bytes' });
  }

  #fileOf(doc: UploadDoc, parts: readonly PartDoc[]): StoredFile {
    const { limits, clock, digests } = this.#deps;
    if (doc.purpose === 'batch' && !joinsToUtf8(parts.map(({ edges }) => edges))) throw notUtf8();
    const nowEpochMs = clock.epochMs();
    return {
      id: fileIdOfUpload(doc.id),
      tenant: doc.tenant,
      bytes: doc.declaredBytes,
      createdAtEpochMs: nowEpochMs,
      expiresAtEpochMs: expiryOf(doc, nowEpochMs, limits.fileRetentionMs),
      filename: doc.filename,
      purpose: doc.purpose,
      parts: parts.map(({ id, bytes }) => ({ key: partDataKey(doc.id, id), bytes })),
      etag: digests.ofTexts(parts.map(({ sha256, bytes }) => `${sha256} ${bytes}`)),
    };
  }

  async #checkMd5(file: StoredFile, md5: string): Promise<void> {
    const hash = this.#deps.digests.md5();
    for await (const chunk of this.#deps.files.read(file)) hash.update(chunk);
    const found = hash.hex();
    if (found === md5.toLowerCase()) return;
    const message = `Invalid 'md5': the parts in this order have the MD5 ${found}. Check 'part_ids', or send the part again that was damaged.`;
    throw new PilotlightError('invalid_value', message, { param: 'md5' });
  }

  async cancel(id: string, tenant: string): Promise<UploadView> {
    const { records, index, clock } = this.#deps;
    const doc = await this.#read(id, tenant);
    const ended = await records.end(id);
    if (!ended) this.#checkPending(doc, null);
    const end = ended ?? (await records.close(id, { status: 'cancelled' }));
    if (end.status !== 'cancelled') throw uploadClosed(id, end.status);
    await records.deleteContents(id, new Set());
    await index.closeUpload(tenant, id);
    return uploadView(doc, end, clock.epochMs());
  }

  async get(id: string, tenant: string): Promise<UploadView> {
    const doc = await this.#read(id, tenant);
    return uploadView(doc, await this.#deps.records.end(id), this.#deps.clock.epochMs());
  }

  async #pending(id: string, tenant: string): Promise<UploadDoc> {
    const doc = await this.#read(id, tenant);
    this.#checkPending(doc, await this.#deps.records.end(id));
    return doc;
  }

  #checkPending(doc: UploadDoc, end: UploadEnd | null): void {
    const status = uploadStatus(doc, end, this.#deps.clock.epochMs());
    if (status !== 'pending') throw uploadClosed(doc.id, status);
  }

  async #read(id: string, tenant: string): Promise<UploadDoc> {
    const doc = await this.#deps.records.read(id);
    if (doc?.tenant === tenant) return doc;
    throw new PilotlightError('upload_not_found', `No such Upload object: ${shown(id)}`, { param: 'upload_id' });
  }
}

function wrongParts(problem: string): PilotlightError {
  return new PilotlightError('invalid_value', `Invalid 'part_ids': ${problem}.`, { param: 'part_ids' });
}
