import type { BlobInfo, BlobStore } from '../../core/blobs.ts';
import type { Clock } from '../../core/clock.ts';
import { asError, PilotlightError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import { FILES_PREFIX, fileOfKey, UPLOADS_PREFIX, uploadOfKey } from '../policy/files/keys.ts';
import type { FileRecords } from './file-records.ts';
import type { IndexKeeper } from './index-keeper.ts';
import type { FileIndex } from './ports.ts';
import type { UploadRecords } from './upload-records.ts';

const EVERY_MS = 3_600_000;
/** Content becomes a file, or is thrown away, within moments of being whole. */
const SPOOL_LIFETIME_MS = 3_600_000;
/** What is known of an upload that has ended is kept so long, so that its last calls can be repeated. */
const ENDED_UPLOAD_KEPT_MS = 86_400_000;
/** No single upload takes longer. */
const UNFINISHED_LIFETIME_MS = 86_400_000;
const STEP = 500;

export interface FileSweepDeps {
  readonly store: BlobStore;
  readonly files: FileRecords;
  readonly uploads: UploadRecords;
  readonly index: FileIndex;
  readonly keeper: IndexKeeper;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Swept {
  files: number;
  spools: number;
  uploads: number;
}

/** Removes what nobody can ask for any more: expired files that no batch reads, dead uploads, content that never became a file. */
export class FileSweep {
  readonly #deps: FileSweepDeps;

  constructor(deps: FileSweepDeps) {
    this.#deps = deps;
  }

  /** Sweeps now and then, one process at a time, until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#turn(signal);
      await this.#deps.clock.sleep(EVERY_MS, signal).catch(() => undefined);
    }
  }

  async #turn(signal: AbortSignal): Promise<void> {
    const { index, keeper, log } = this.#deps;
    try {
      if (!(await index.isComplete())) await keeper.fill();
      if (await index.leaseSweep(EVERY_MS)) log.info({ ...(await this.sweep(signal)) }, 'files.swept');
    } catch (thrown) {
      if (!signal.aborted) log.warn({ problem: asError(thrown).message }, 'files.sweep_failed');
    }
  }

  async sweep(signal: AbortSignal): Promise<Swept> {
    const swept: Swept = { files: 0, spools: 0, uploads: 0 };
    await this.#sweepFiles(swept, signal);
    await this.#sweepUploads(swept, signal);
    await this.#deps.store.sweepUnfinished(UNFINISHED_LIFETIME_MS);
    return swept;
  }

  async #sweepFiles(swept: Swept, signal: AbortSignal): Promise<void> {
    let ids: string[] = [];
    /** Keys come in order: the content of a file just before its document. */
    let content: { readonly id: string; readonly info: BlobInfo } | null = null;
    for await (const info of this.#deps.store.list(FILES_PREFIX, signal)) {
      const file = fileOfKey(info.key);
      if (!file) continue;
      if (content && content.id !== file.id) await this.#dropSpool(content.info, swept);
      content = file.kind === 'data' ? { id: file.id, info } : null;
      if (file.kind === 'json') ids.push(file.id);
      if (ids.length < STEP) continue;
      await this.#checkFiles(ids, swept);
      ids = [];
    }
    if (content) await this.#dropSpool(content.info, swept);
    await this.#checkFiles(ids, swept);
  }

  async #dropSpool({ key, modifiedAtEpochMs }: BlobInfo, swept: Swept): Promise<void> {
    if (this.#deps.clock.epochMs() - modifiedAtEpochMs < SPOOL_LIFETIME_MS) return;
    const id = fileOfKey(key)?.id ?? '';
    // It may have become a file since the listing went by.
    if (await this.#deps.files.readEvenExpired(id)) return;
    await this.#deps.store.delete(key);
    swept.spools += 1;
  }

  async #checkFiles(ids: readonly string[], swept: Swept): Promise<void> {
    const { keeper, index, files } = this.#deps;
    await keeper.addMissing(ids);
    const listed = await index.listed(ids);
    for (const [place, id] of ids.entries()) {
      const known = listed[place];
      if (!known || !files.hasExpired(known)) continue;
      const file = await files.readEvenExpired(id);
      if (!file || !files.hasExpired(file) || (await files.isHeld(id))) continue;
      await index.remove(id, file.tenant);
      try {
        await files.delete(file);
        swept.files += 1;
      } catch (thrown) {
        if (!(thrown instanceof PilotlightError) || thrown.code !== 'file_in_use') throw thrown;
        await index.add(file);
      }
    }
  }

  async #sweepUploads(swept: Swept, signal: AbortSignal): Promise<void> {
    let current: string | null = null;
    for await (const { key } of this.#deps.store.list(UPLOADS_PREFIX, signal)) {
      const id = uploadOfKey(key)?.id ?? null;
      if (id === null || id === current) continue;
      if (current !== null && (await this.#sweepUpload(current))) swept.uploads += 1;
      current = id;
    }
    if (current !== null && (await this.#sweepUpload(current))) swept.uploads += 1;
  }

  /** True when nothing is left of it. */
  async #sweepUpload(id: string): Promise<boolean> {
    const { uploads, files, clock, index } = this.#deps;
    const doc = await uploads.read(id);
    const nowEpochMs = clock.epochMs();
    if (!doc) {
      // Its removal was cut short; a declaration is written before anything else.
      await uploads.remove(id);
      return true;
    }
    if (nowEpochMs < doc.expiresAtEpochMs) return false;
    const end = (await uploads.end(id)) ?? (await uploads.close(id, { status: 'expired' }));
    await index.closeUpload(doc.tenant, id);
    const isLongOver = nowEpochMs - doc.expiresAtEpochMs > ENDED_UPLOAD_KEPT_MS;
    if (end.status !== 'completed') {
      await uploads.deleteContents(id, new Set());
    } else if (await files.readEvenExpired(end.file.id)) {
      await uploads.deleteContents(id, new Set(end.file.parts.map(({ key }) => key)));
      return false;
    } else if (!isLongOver) {
      // Completing it was cut short: the caller may repeat it.
      return false;
    }
    if (isLongOver) await uploads.remove(id);
    return isLongOver;
  }
}
