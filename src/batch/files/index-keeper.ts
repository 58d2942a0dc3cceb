import type { BlobStore } from '../../core/blobs.ts';
import type { Clock } from '../../core/clock.ts';
import { asError, PilotlightError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import { FILES_PREFIX, fileOfKey } from '../policy/files/keys.ts';
import type { FileRecords } from './file-records.ts';
import { inParallel } from './in-parallel.ts';
import type { FileIndex } from './ports.ts';

/** Documents read at the same time. */
const READERS = 16;
/** Ids looked up at a time. */
const STEP = 500;
/** How long a list waits for an index that is being filled. */
const PATIENCE_MS = 10_000;
const RETRY_AFTER_MS = 5_000;

export interface IndexKeeperDeps {
  readonly store: BlobStore;
  readonly records: FileRecords;
  readonly index: FileIndex;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Fills the index from the store when Redis has lost it. */
export class IndexKeeper {
  readonly #deps: IndexKeeperDeps;
  readonly #ended = new AbortController();
  #filling: Promise<void> | null = null;

  constructor(deps: IndexKeeperDeps) {
    this.#deps = deps;
  }

  /** Resolves when the index knows every file. `store_unavailable` when that takes longer than some seconds. */
  async whenComplete(): Promise<void> {
    if (await this.#deps.index.isComplete()) return;
    const patience = new AbortController();
    const tired = this.#deps.clock.sleep(PATIENCE_MS, patience.signal).then(
      () => {
        const message = 'The list of files is being read from the store again. Try again in a moment.';
        throw new PilotlightError('store_unavailable', message, { retryAfterMs: RETRY_AFTER_MS });
      },
      () => undefined,
    );
    try {
      await Promise.race([this.fill(), tired]);
    } finally {
      patience.abort();
      tired.catch(() => undefined);
    }
  }

  /** One at a time in a process; another process may do the same, which changes nothing. */
  fill(): Promise<void> {
    this.#filling ??= this.#fill().finally(() => {
      this.#filling = null;
    });
    this.#filling.catch(() => undefined);
    return this.#filling;
  }

  async #fill(): Promise<void> {
    const { store, index, clock, log } = this.#deps;
    const startedAtMs = clock.monotonicMs();
    const done = await index.beginRebuild();
    let files = 0;
    let ids: string[] = [];
    for await (const { key } of store.list(FILES_PREFIX, this.#ended.signal)) {
      const file = fileOfKey(key);
      if (file?.kind !== 'json') continue;
      ids.push(file.id);
      files += 1;
      if (ids.length < STEP) continue;
      await this.addMissing(ids);
      ids = [];
    }
    await this.addMissing(ids);
    await done();
    log.info({ files, tookMs: Math.round(clock.monotonicMs() - startedAtMs) }, 'files.indexed');
  }

  /** Lists those of these files that the index does not know. */
  async addMissing(ids: readonly string[]): Promise<void> {
    const { records, index, log } = this.#deps;
    const listed = await index.listed(ids);
    const unknown = ids.filter((_, place) => listed[place] === null);
    await inParallel(unknown, READERS, async (id) => {
      try {
        const file = await records.readEvenExpired(id);
        if (file) await index.add(file);
      } catch (thrown) {
        // A document that cannot be read must not hide all others.
        if (!(thrown instanceof SyntaxError)) throw thrown;
        log.error({ fileId: id, problem: asError(thrown).message }, 'file.unreadable');
      }
    });
  }

  close(): void {
    this.#ended.abort(new PilotlightError('draining', 'This replica is shutting down.'));
  }
}
