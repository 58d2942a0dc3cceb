import type {
  BatchChange,
  BatchRequest,
  BatchService,
  BatchStatus,
  BatchView,
  DryRun,
  RowLine,
} from '../../../../src/core/batches.ts';
import { PilotlightError } from '../../../../src/core/errors.ts';
import type { Page, PageRequest } from '../../../../src/core/files.ts';
import type { Identity } from '../../../../src/core/identity.ts';

export const DRY_RUN: DryRun = {
  kind: 'valid',
  errors: [],
  estimate: {
    rows: 2,
    inputTokens: 30,
    maxOutputTokens: 400,
    etaMs: 1_500,
    meetsDeadline: true,
    models: [{ model: 'tiny', pool: 'default/tiny', objective: 'nightly', rows: 2 }],
  },
};

/** Batches that never run by themselves; a test says what becomes of them. */
export class FakeBatches implements BatchService {
  readonly requests: BatchRequest[] = [];
  readonly changes: BatchChange[] = [];
  readonly views = new Map<string, BatchView>();
  readonly lines: RowLine[] = [];
  dryRunAnswer: DryRun = DRY_RUN;
  /** What `watch` shows after the present view. */
  readonly news: Partial<BatchView>[] = [];
  watching = 0;

  create(request: BatchRequest): Promise<BatchView> {
    this.requests.push(request);
    const { key } = request.repetition;
    const known = key === null ? undefined : this.views.get(`batch_${key}`);
    const view = known ?? batchView(`batch_${key ?? this.requests.length}`, request);
    this.views.set(view.id, view);
    return Promise.resolve(view);
  }

  dryRun(request: BatchRequest): Promise<DryRun> {
    this.requests.push(request);
    return Promise.resolve(this.dryRunAnswer);
  }

  async get(id: string, tenant: string): Promise<BatchView> {
    await Promise.resolve();
    const view = this.views.get(id);
    if (view?.tenant === tenant) return view;
    throw new PilotlightError('batch_not_found', `No batch found with id '${id}'.`, { param: 'id' });
  }

  list(
    tenant: string,
    { after, limit, status }: PageRequest & { readonly status: BatchStatus | null },
  ): Promise<Page<BatchView>> {
    const all = [...this.views.values()]
      .filter((view) => view.tenant === tenant && (status === null || view.status === status))
      .reverse();
    const from = after === null ? 0 : all.findIndex(({ id }) => id === after) + 1;
    return Promise.resolve({ items: all.slice(from, from + limit), hasMore: all.length > from + limit });
  }

  async cancel(id: string, tenant: string): Promise<BatchView> {
    const view = await this.get(id, tenant);
    if (view.status === 'completed') {
      throw new PilotlightError('batch_already_finished', "Cannot cancel a batch with status 'completed'.");
    }
    return this.set(id, { status: 'cancelling', stamps: { ...view.stamps, cancellingAtEpochMs: 1_790_000_009_000 } });
  }

  async change(id: string, identity: Identity, change: BatchChange): Promise<BatchView> {
    this.changes.push(change);
    return this.get(id, identity.tenant);
  }

  async retryFailed(id: string, identity: Identity): Promise<BatchView> {
    const view = await this.get(id, identity.tenant);
    return { ...view, id: `${id}_again`, progress: { ...view.progress, retryOf: id } };
  }

  async rows(id: string, tenant: string, afterRow: number, limit: number): Promise<Page<RowLine>> {
    await this.get(id, tenant);
    const rest = this.lines.filter(({ row }) => row > afterRow);
    return { items: rest.slice(0, limit), hasMore: rest.length > limit };
  }

  async *watch(id: string, tenant: string, signal: AbortSignal): AsyncIterable<BatchView> {
    yield await this.get(id, tenant);
    this.watching += 1;
    try {
      for (const next of this.news) yield this.set(id, next);
      if (this.news.length > 0) return;
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
    } finally {
      this.watching -= 1;
    }
  }

  set(id: string, fields: Partial<BatchView>): BatchView {
    const view = { ...this.views.get(id)!, ...fields };
    this.views.set(id, view);
    return view;
  }
}

function batchView(id: string, request: BatchRequest): BatchView {
  const { identity, inputFileId, endpoint, completionWindow, metadata, wishes } = request;
  return {
    id,
    tenant: identity.tenant,
    endpoint,
    inputFileId,
    completionWindow,
    status: 'validating',
    model: null,
    errors: null,
    outputFileId: null,
    errorFileId: null,
    createdAtEpochMs: 1_790_000_000_000,
    expiresAtEpochMs: 1_790_086_400_000,
    stamps: {
      inProgressAtEpochMs: null,
      finalizingAtEpochMs: null,
      completedAtEpochMs: null,
      failedAtEpochMs: null,
      expiredAtEpochMs: null,
      cancellingAtEpochMs: null,
      cancelledAtEpochMs: null,
    },
    counts: { total: 0, completed: 0, failed: 0 },
    usage: null,
    metadata,
    progress: {
      phase: 'validating',
      objective: wishes.objective,
      rowsPerSecond: null,
      etaMs: null,
      rowsRunning: 0,
      hold: null,
      stepPercent: null,
      retryOf: null,
      retriedBy: null,
      estimatedTokens: null,
    },
  };
}
