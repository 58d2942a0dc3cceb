import {
  type BatchChange,
  type BatchRequest,
  type BatchService,
  type BatchStatus,
  type BatchView,
  type DryRun,
  isFinalBatch,
  type RowLine,
} from '../../core/batches.ts';
import { PilotlightError } from '../../core/errors.ts';
import type { Page, PageRequest } from '../../core/files.ts';
import type { Identity } from '../../core/identity.ts';
import { cancelling } from '../policy/lifecycle/generations.ts';
import { type BatchDoc, type BatchFinal, RowStatesLost, type Validate } from '../ports.ts';
import { advance } from './advance.ts';
import { Bell } from './bell.ts';
import { changeBatch, notRunnable } from './change-batch.ts';
import { checkRequest, createBatch } from './create-batch.ts';
import { dryRun } from './dry-run.ts';
import type { HeavyWork } from './heavy-work.ts';
import type { LiveViewDeps, LiveViews } from './live-views.ts';
import { Creations } from './creations.ts';
import { type RetryDeps, retryBatch } from './retry-batch.ts';

/** Finished lines of a batch that runs, in input order, from row `afterRow` + 1 on. */
export type ReadRows = (doc: BatchDoc, afterRow: number, limit: number) => Promise<Page<RowLine>>;

export interface BatchServiceDeps extends RetryDeps, LiveViewDeps {
  readonly views: LiveViews;
  readonly validate: Validate;
  readonly readRows: ReadRows;
  readonly heavy: HeavyWork;
  /** Brings the index in line with the store when Redis lost it; resolves when that is done. */
  readonly whenIndexed: () => Promise<void>;
}

const WATCH_EVERY_MS = 1_000;
const SHOWN_CHARS = 64;

export class StoredBatches implements BatchService {
  readonly #deps: BatchServiceDeps;
  readonly #creations = new Creations();

  constructor(deps: BatchServiceDeps) {
    this.#deps = deps;
  }

  async create(request: BatchRequest): Promise<BatchView> {
    const { key, sdkRetry } = request.repetition;
    // A loss of Redis must not make two batches of one call.
    if (key !== null || sdkRetry > 0) await this.#deps.whenIndexed();
    return this.#view(await createBatch(this.#deps, this.#creations, request));
  }

  async dryRun(request: BatchRequest, signal: AbortSignal): Promise<DryRun> {
    return dryRun(this.#deps, await checkRequest(this.#deps, request), signal);
  }

  async get(id: string, tenant: string): Promise<BatchView> {
    return this.#view(await this.#doc(id, tenant));
  }

  async list(tenant: string, page: PageRequest & { readonly status: BatchStatus | null }): Promise<Page<BatchView>> {
    const { index, journal, whenIndexed } = this.#deps;
    await whenIndexed();
    const found = await index.list(tenant, page);
    if (!found) {
      const message = `There is no batch '${shown(page.after ?? '')}' to go on after. Take the last id of the page before.`;
      throw new PilotlightError('invalid_value', message, { param: 'after' });
    }
    const copies = await index.readMany(found.ids);
    const docs = await Promise.all(found.ids.map(async (id, place) => copies[place] ?? (await journal.read(id))));
    // One that was removed since the index was asked is not shown.
    const items = await Promise.all(docs.filter((doc) => doc !== null).map((doc) => this.#view(doc)));
    return { items, hasMore: found.hasMore };
  }

  async cancel(id: string, tenant: string): Promise<BatchView> {
    const { journal, clock } = this.#deps;
    const change = (current: BatchDoc) => cancelling(current, clock.epochMs());
    const { doc, isChanged } = await advance(journal, await this.#doc(id, tenant), change);
    if (!isChanged && doc.ending !== 'cancelled') throw notRunnable('cancel', doc);
    return this.#view(doc);
  }

  async change(id: string, identity: Identity, change: BatchChange): Promise<BatchView> {
    const doc = await this.#doc(id, identity.tenant);
    return this.#view(await changeBatch(this.#deps, doc, identity, change));
  }

  async retryFailed(id: string, identity: Identity): Promise<BatchView> {
    const doc = await this.#doc(id, identity.tenant);
    return this.#view(await retryBatch(this.#deps, this.#creations, doc, identity));
  }

  async rows(id: string, tenant: string, afterRow: number, limit: number): Promise<Page<RowLine>> {
    const doc = await this.#doc(id, tenant);
    if (doc.final !== null) throw hasEnded(doc.id, doc.final);
    if (doc.plan === null) return { items: [], hasMore: false };
    try {
      return await this.#deps.readRows(doc, afterRow, limit);
    } catch (error) {
      if (!(error instanceof RowStatesLost)) throw error;
      // They also go when it has ended, which may have been meanwhile.
      const { final } = await this.#doc(id, tenant);
      if (final !== null) throw hasEnded(id, final);
      const message = `What the rows of batch '${doc.id}' have come to is being read again from the store. Try again in a moment.`;
      throw new PilotlightError('queue_unavailable', message, { retryAfterMs: 2_000, cause: error });
    }
  }

  async *watch(id: string, tenant: string, signal: AbortSignal): AsyncIterable<BatchView> {
    const { journal, clock } = this.#deps;
    const bell = new Bell(clock);
    let newest = await this.#doc(id, tenant);
    const stop = journal.onChange((doc) => {
      if (doc.id !== id || doc.generation <= newest.generation) return;
      newest = doc;
      bell.ring();
    });
    try {
      let shownBefore = '';
      while (!signal.aborted) {
        const view = await this.#view(newest);
        const text = JSON.stringify(view);
        if (text !== shownBefore) yield view;
        if (isFinalBatch(view.status)) return;
        shownBefore = text;
        await bell.wait(WATCH_EVERY_MS, signal);
        newest = (await journal.read(id)) ?? newest;
      }
    } finally {
      stop();
    }
  }

  #view(doc: BatchDoc): Promise<BatchView> {
    return this.#deps.views.view(doc);
  }

  async #doc(id: string, tenant: string): Promise<BatchDoc> {
    const doc = await this.#deps.journal.read(id);
    if (doc && doc.identity.tenant === tenant) return doc;
    throw new PilotlightError('batch_not_found', `No batch found with id '${shown(id)}'.`, { param: 'batch_id' });
  }
}

function shown(text: string): string {
  return text.slice(0, SHOWN_CHARS);
}

function hasEnded(id: string, { outputFileId, errorFileId }: BatchFinal): PilotlightError {
  const files = [outputFileId, errorFileId].filter((file) => file !== null).join(' and ');
  const message = `Batch '${id}' has ended; its rows are in ${files || 'no file: none of them ran'}.`;
  return new PilotlightError('batch_already_finished', message);
}
