import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { BlobStore } from '../../src/core/blobs.ts';
import { EQUAL_TENANTS } from '../../src/core/tenants.ts';
import { FolderBlobStore } from '../../src/platform/blobs/folder/folder-blob-store.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { createRedis, whenReady } from '../../src/platform/redis/connection.ts';
import { BullmqBacklog } from '../../src/queue/adapters/bullmq/bullmq-backlog.ts';
import { shareConnection } from '../../src/queue/adapters/bullmq/shared-backend.ts';
import { RedisChannels } from '../../src/queue/adapters/job-index/channels.ts';
import { RedisJobHints } from '../../src/queue/adapters/job-index/redis-job-hints.ts';
import { RedisJobIndex } from '../../src/queue/adapters/job-index/redis-job-index.ts';
import { BlobJobStore } from '../../src/queue/adapters/job-store/blob-job-store.ts';
import type { StoredRun } from '../../src/queue/jobs/ports.ts';
import { StoredWork } from '../../src/queue/jobs/stored-work.ts';
import { silentLogger } from './silent-logger.ts';
import { COMPLETED, POOL, smallCatalog } from './stored-world.ts';
import { ToyRedisLedger } from './toy-ledger.ts';

export interface StoredProcessOptions {
  readonly redisUrl: string;
  readonly prefix: string;
  readonly dataDir: string;
  /** Instead of a folder in `dataDir`; stays open. */
  readonly blobs?: BlobStore;
  /** How long one execution takes. */
  readonly executionMs: number;
}

export interface StoredProcess {
  readonly work: StoredWork;
  readonly ledger: ToyRedisLedger;
  readonly store: BlobJobStore;
  readonly backlog: BullmqBacklog;
  readonly client: Redis;
  stop(): Promise<void>;
}

/** The stored work of one process over a real Redis and a real folder; executions sleep and answer. */
export async function startStoredProcess(options: StoredProcessOptions): Promise<StoredProcess> {
  const { prefix, redisUrl: url } = options;
  const client = createRedis({ url, purpose: 'command', log: silentLogger });
  const subscriber = createRedis({ url, purpose: 'subscriber', log: silentLogger });
  await whenReady(client, 20_000);
  const root = `${prefix}:{test/${POOL}}`;
  const channels = new RedisChannels(subscriber);
  const ledger = new ToyRedisLedger(client, root, POOL);
  const backlog = new BullmqBacklog({
    pool: POOL,
    root,
    client,
    connection: await shareConnection(client),
    channels,
    log: silentLogger,
    lockMs: 1_000,
    stallPassMs: 300,
  });
  const random = { next: () => Math.random() };
  const folder = new FolderBlobStore(join(options.dataDir, 'test'), { clock: systemClock, random });
  const blobs = options.blobs ?? folder;
  const store = new BlobJobStore({}, { blobs, log: silentLogger });
  const work = new StoredWork({
    store,
    index: new RedisJobIndex(client, prefix),
    hints: new RedisJobHints(client, channels, prefix),
    catalog: { current: smallCatalog, onChange: () => () => undefined },
    tenants: EQUAL_TENANTS,
    advisor: { retryAfterMs: () => 1_000 },
    execute: (run) => execute(run, { store, ledger, executionMs: options.executionMs }),
    clock: systemClock,
    log: silentLogger,
    retentionMs: 3_600_000,
  });
  work.addPool({ ledger, backlog });
  work.start();
  return {
    work,
    ledger,
    store,
    backlog,
    client,
    async stop() {
      await work.stop(5_000);
      await backlog.close();
      await store.close();
      await folder.close();
      client.disconnect();
      subscriber.disconnect();
    },
  };
}

/** As the live order would: nothing is run that has its outcome. */
async function execute(
  run: StoredRun,
  { store, ledger, executionMs }: { store: BlobJobStore; ledger: ToyRedisLedger; executionMs: number },
): ReturnType<ConstructorParameters<typeof StoredWork>[0]['execute']> {
  const [known] = await ledger.outcomes([run.spec.id]);
  if (known) return { kind: 'superseded', outcome: known.outcome };
  await delay(executionMs);
  const header = {
    kind: 'result',
    jobId: run.spec.id,
    attempt: run.attempt,
    outcome: COMPLETED,
    contentType: 'application/json',
    finishedAtEpochMs: Date.now(),
    job: run.place,
  } as const;
  const ref = await store.append(header, Buffer.from(`answer to ${run.spec.id}`));
  const answer = await ledger.settle(run.spec.id, run.spec.objective, COMPLETED, ref);
  return answer.kind === 'settled'
    ? { kind: 'settled', outcome: COMPLETED }
    : { kind: 'superseded', outcome: answer.stored.outcome };
}
