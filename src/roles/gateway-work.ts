import type { Registry } from 'prom-client';
import type { BlobStore } from '../core/blobs.ts';
import type { JobService } from '../core/jobs.ts';
import type { NoticeSink, WebhookService } from '../core/notices.ts';
import type { ReconcileStored } from '../core/stored-work.ts';
import type { BatchApi } from '../ingress/batch-api.ts';
import { systemClock } from '../platform/clock.ts';
import { systemRandom } from '../platform/random.ts';
import type { StoredWork } from '../queue/jobs/stored-work.ts';
import { publishJobEnds } from '../webhooks/job-ends.ts';
import { webhookMetrics } from '../webhooks/metrics.ts';
import { openStore } from './blob-store.ts';
import { type BatchParts, openBatches } from './batches.ts';
import type { Engine } from './engine.ts';
import type { PoolTaker } from './pool-set.ts';
import type { ProcessOptions } from './process-options.ts';
import type { PoolViews } from './scaling.ts';
import { openSqs } from './sqs.ts';
import { openStoredWork } from './stored-work.ts';
import { openWebhooks } from './webhooks.ts';

/** Everything that a gateway does for callers who do not wait on a connection. */
export interface GatewayWork {
  readonly jobs: JobService;
  /** Null where they are switched off. */
  readonly batchApi: BatchApi | null;
  readonly webhooks: WebhookService | null;
  readonly takers: readonly PoolTaker[];
  readonly reconcile: ReconcileStored;
  /** For operators. */
  readonly stored: Pick<StoredWork, 'placeOf' | 'deadLetters'>;
  start(): void;
  /** Gives what runs so long to end, and hands back the rest. */
  stop(finishWithinMs: number): Promise<void>;
}

interface WorkWorld {
  readonly engine: Engine;
  readonly views: PoolViews;
  readonly registry: Registry;
}

/** Opens the store and all that lives in it. Starts the delivery of webhooks and the sweep of files, nothing else. */
export async function openGatewayWork(options: ProcessOptions, world: WorkWorld): Promise<GatewayWork> {
  const { engine, views, registry } = world;
  const store = await openStore(options);
  const stored = openStoredWork(options, engine, registry, store);
  const { service: webhooks, sink: notices } = openNotices(options, store, registry);
  stored.announceTo('webhook', publishJobEnds(stored.jobs, notices));
  const batches = options.config.batches.enabled
    ? openBatches(options, { store, engine, views, notices, registry })
    : null;
  const sqs = await openSqs({ ...options, catalog: options.catalogSource, jobs: stored.jobs, registry });
  if (sqs) {
    stored.announceTo('sqs', sqs.onJobEnd);
    options.closers.add('sqs', () => sqs.close());
  }
  return {
    jobs: stored.jobs,
    batchApi: batches && batchApi(options, batches),
    webhooks,
    stored,
    takers: [takerOf(stored), ...(batches ? [batches.taker] : [])],
    async reconcile(signal) {
      const [{ settled, restored, unserved }, ofBatches] = await Promise.all([
        stored.reconcile(),
        batches?.lifecycle.reconcile(signal) ?? null,
      ]);
      return { jobs: { settled, restored, unserved }, batches: ofBatches };
    },
    start() {
      stored.start();
      batches?.start();
      sqs?.start();
    },
    async stop(finishWithinMs) {
      await Promise.all([stored.stop(finishWithinMs), batches?.stop(finishWithinMs), sqs?.stop()]);
    },
  };
}

function takerOf(stored: StoredWork): PoolTaker {
  return { add: ({ lane }) => stored.addPool(lane), remove: (pool) => stored.removePool(pool) };
}

function batchApi({ config }: ProcessOptions, { files, lifecycle }: BatchParts): BatchApi {
  return { files: files.files, uploads: files.uploads, batches: lifecycle.service, settings: config.batches };
}

const NOBODY: NoticeSink = { publish: () => Promise.resolve() };

function openNotices(
  { config, redis, log, version, closers }: ProcessOptions,
  blobs: BlobStore,
  registry: Registry,
): { readonly service: WebhookService | null; readonly sink: NoticeSink } {
  if (!config.webhooks.enabled) return { service: null, sink: NOBODY };
  const parts = openWebhooks({
    settings: config.webhooks,
    installation: config.installation,
    redis,
    blobs,
    clock: systemClock,
    random: systemRandom,
    log,
    version,
    meter: webhookMetrics(registry),
  });
  closers.add('webhooks', () => parts.close());
  return parts;
}
