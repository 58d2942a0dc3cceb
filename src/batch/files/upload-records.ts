import type { BlobStore } from '../../core/blobs.ts';
import {
  isPartId,
  isUploadId,
  partDataKey,
  partDocKey,
  uploadDocKey,
  uploadEndKey,
  uploadOfKey,
  uploadPrefix,
} from '../policy/files/keys.ts';
import type { PartDoc, UploadDoc, UploadEnd } from '../policy/files/upload-doc.ts';
import { createJson, readJson } from './json-blobs.ts';

/** Uploads as the store has them. */
export class UploadRecords {
  readonly #store: BlobStore;

  constructor(store: BlobStore) {
    this.#store = store;
  }

  async create(doc: UploadDoc): Promise<void> {
    await createJson(this.#store, uploadDocKey(doc.id), doc);
  }

  async read(id: string): Promise<UploadDoc | null> {
    if (!isUploadId(id)) return null;
    return (await readJson(this.#store, uploadDocKey(id))) as UploadDoc | null;
  }

  async end(id: string): Promise<UploadEnd | null> {
    return (await readJson(this.#store, uploadEndKey(id))) as UploadEnd | null;
  }

  /** The first end wins; the one that counts is returned. */
  async close(id: string, end: UploadEnd): Promise<UploadEnd> {
    const counts = await createJson(this.#store, uploadEndKey(id), end);
    return counts ? end : ((await this.end(id)) ?? end);
  }

  async addPart(uploadId: string, part: PartDoc): Promise<void> {
    await createJson(this.#store, partDocKey(uploadId, part.id), part);
  }

  /** Null for what is not a part of this upload. */
  async part(uploadId: string, partId: string): Promise<PartDoc | null> {
    if (!isPartId(partId)) return null;
    return (await readJson(this.#store, partDocKey(uploadId, partId))) as PartDoc | null;
  }

  /** All parts ever received, those nobody will list included. */
  async received(uploadId: string): Promise<{ readonly parts: number; readonly bytes: number }> {
    let parts = 0;
    let receivedBytes = 0;
    for await (const { key, bytes } of this.#store.list(uploadPrefix(uploadId))) {
      if (!uploadOfKey(key)?.dataOfPart) continue;
      parts += 1;
      receivedBytes += bytes;
    }
    return { parts, bytes: receivedBytes };
  }

  async deletePart(uploadId: string, partId: string): Promise<void> {
    await this.#store.delete(partDocKey(uploadId, partId));
    await this.#store.delete(partDataKey(uploadId, partId));
  }

  /** Removes contents of parts that are not among these, and nothing else. */
  async deleteContents(uploadId: string, keptKeys: ReadonlySet<string>): Promise<void> {
    for await (const { key } of this.#store.list(uploadPrefix(uploadId))) {
      if (uploadOfKey(key)?.dataOfPart && !keptKeys.has(key)) await this.#store.delete(key);
    }
  }

  /** Everything of it; the declaration last, so that what is cut short is found again. */
  async remove(uploadId: string): Promise<void> {
    const last = uploadDocKey(uploadId);
    for await (const { key } of this.#store.list(uploadPrefix(uploadId))) {
      if (key !== last) await this.#store.delete(key);
    }
    await this.#store.delete(last);
  }
}
