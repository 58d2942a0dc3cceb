import type { BlobStore } from '../../../core/blobs.ts';
import { asError, PilotlightError } from '../../../core/errors.ts';
import type { Logger } from '../../../core/logger.ts';
import { type BatchIndex, batchPrefix, type IndexedJournal } from '../../lifecycle/ports.ts';
import type { AdvanceAnswer, BatchDoc } from '../../ports.ts';

/** Beside "batches/", whose many row segments a walk through all journals would have to pass. */
const ROOT = 'batch-journal/';
const KEY = /^batch-journal\/([0-9A-Za-z_-]+)\/g(\d{8})\.json$/;
const ID = /^[0-9A-Za-z_-]{1,128}$/;

export interface BlobJournalDeps {
  readonly blobs: BlobStore;
  readonly index: BatchIndex;
  readonly log: Logger;
  /** Tells other processes of a generation; may be lost. Calls back with ids of theirs. */
  readonly hints: BatchHints;
}

export interface BatchHints {
  publish(id: string): void;
  onHint(listener: (id: string) => void): () => void;
}

/**
 * A batch is a row of small blobs, `batch-journal/<id>/g<generation>.json`, each created once: two processes cannot write
 * the same generation, and none is ever changed or removed before its batch is.
 */
export class BlobJournal implements IndexedJournal {
  readonly #deps: BlobJournalDeps;
  readonly #listeners = new Set<(doc: BatchDoc) => void>();
  /** Written, and not known to the index yet. */
  readonly #unindexed = new Map<string, BatchDoc>();

  constructor(deps: BlobJournalDeps) {
    this.#deps = deps;
    deps.hints.onHint((id) => void this.#heard(id));
  }

  create(doc: BatchDoc): Promise<AdvanceAnswer> {
    return this.advance(doc);
  }

  async advance(next: BatchDoc): Promise<AdvanceAnswer> {
    const bytes = Buffer.from(JSON.stringify(next));
    const answer = await this.#deps.blobs.put(keyOf(next.id, next.generation), once(bytes), { ifAbsent: true });
    if (answer.kind === 'exists') return this.#conflict(next);
    await this.#index(next);
    this.#deps.hints.publish(next.id);
    this.#tell(next);
    return { kind: 'advanced' };
  }

  async read(id: string): Promise<BatchDoc | null> {
    if (!ID.test(id)) return null;
    const copy = this.#unindexed.get(id) ?? (await this.#deps.index.read(id).catch(() => null));
    if (copy) return copy;
    const doc = await this.readStored(id);
    if (doc) await this.#deps.index.put(doc).catch(() => undefined);
    return doc;
  }

  readStored(id: string): Promise<BatchDoc | null> {
    return ID.test(id) ? this.#readNewest(id, 1) : Promise.resolve(null);
  }

  /** From `first` on at least. A list may not show yet what was just created; a read does. */
  async #readNewest(id: string, first: number): Promise<BatchDoc | null> {
    let generation = first;
    for await (const { key } of this.#deps.blobs.list(`${ROOT}${id}/`)) {
      generation = Math.max(generation, Number(KEY.exec(key)?.[2] ?? 0));
    }
    for (let newest: BatchDoc | null = null; ; generation += 1) {
      const doc = await this.#readGeneration(id, generation);
      if (!doc) return newest;
      newest = doc;
    }
  }

  async *generations(signal: AbortSignal): AsyncIterable<{ readonly id: string; readonly generation: number }> {
    let newest = { id: '', generation: 0 };
    // In order of the keys, so the generations of a batch come together, the newest last.
    for await (const { key } of this.#deps.blobs.list(ROOT, signal)) {
      const [, id, digits] = KEY.exec(key) ?? [];
      if (id === undefined) continue;
      if (newest.id !== id && newest.id !== '') yield newest;
      newest = { id, generation: Number(digits) };
    }
    if (newest.id !== '') yield newest;
  }

  async *all(signal: AbortSignal): AsyncIterable<BatchDoc> {
    for await (const { id, generation } of this.generations(signal)) {
      const doc = await this.#readGeneration(id, generation);
      if (doc) yield doc;
    }
  }

  async remove(id: string): Promise<void> {
    const { blobs } = this.#deps;
    // The journal last, and its newest generation at the very end: what a removal that broke off left is still found.
    for await (const { key } of blobs.list(batchPrefix(id))) await blobs.delete(key);
    const generations: string[] = [];
    for await (const { key } of blobs.list(`${ROOT}${id}/`)) generations.push(key);
    for (const key of generations) await blobs.delete(key);
  }

  onChange(listener: (doc: BatchDoc) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async catchUp(): Promise<void> {
    for (const doc of [...this.#unindexed.values()]) {
      await this.#deps.index.put(doc);
      if (this.#unindexed.get(doc.id) === doc) this.#unindexed.delete(doc.id);
    }
  }

  async #index(doc: BatchDoc): Promise<void> {
    try {
      await this.#deps.index.put(doc);
      this.#unindexed.delete(doc.id);
    } catch (error) {
      // It is durable: the index learns of it later.
      this.#unindexed.set(doc.id, doc);
      this.#deps.log.warn({ batch: doc.id, problem: asError(error).message }, 'batch_index.unavailable');
    }
  }

  async #conflict(next: BatchDoc): Promise<AdvanceAnswer> {
    const current = await this.#readNewest(next.id, next.generation);
    if (!current)
      throw new PilotlightError('store_unavailable', `The journal of batch '${next.id}' cannot be read now.`);
    // The copy that led here may be an old one.
    await this.#index(current);
    this.#tell(current);
    return { kind: 'conflict', current };
  }

  async #readGeneration(id: string, generation: number): Promise<BatchDoc | null> {
    const bytes = await this.#deps.blobs.readAll(keyOf(id, generation));
    if (!bytes) return null;
    try {
      return JSON.parse(Buffer.from(bytes).toString('utf8')) as BatchDoc;
    } catch (error) {
      const message = `Generation ${generation} of batch '${id}' is damaged in the store.`;
      throw new PilotlightError('store_unavailable', message, { cause: error });
    }
  }

  async #heard(id: string): Promise<void> {
    if (this.#listeners.size === 0) return;
    const doc = await this.read(id).catch(() => null);
    if (doc) this.#tell(doc);
  }

  #tell(doc: BatchDoc): void {
    for (const listener of this.#listeners) listener(doc);
  }
}

function keyOf(id: string, generation: number): string {
  return `${ROOT}${id}/g${String(generation).padStart(8, '0')}.json`;
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield await Promise.resolve(bytes);
}
