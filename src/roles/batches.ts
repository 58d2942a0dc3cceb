import type { Registry } from 'prom-client';
import { batchIds } from '../batch/adapters/lifecycle/batch-ids.ts';
import { BlobJournal } from '../batch/adapters/lifecycle/blob-journal.ts';
import { RedisBatchBoard } from '../batch/adapters/lifecycle/redis-board.ts';
import { RedisBatchHints } from '../batch/adapters/lifecycle/redis-hints.ts';
import { RedisBatchIndex } from '../batch/adapters/lifecycle/redis-batch-index.ts';
import { RedisBatchLeases } from '../batch/adapters/lifecycle/redis-leases.ts';
import { RedisCreationClaims } from '../batch/adapters/lifecycle/redis-claims.ts';
import { RedisRowHints } from '../batch/adapters/rows/redis-row-hints.ts';
import { RedisRowStates } from '../batch/adapters/rows/redis-row-states.ts';
import { RedisSupplyBook } from '../batch/adapters/rows/redis-supply-book.ts';
import { decodeRowRecord, rowRecords } from '../batch/adapters/rows/row-records.ts';
import { startValidationThread } from '../batch/adapters/validation/validation-thread.ts';
import type { Files } from '../batch/files/open-files.ts';
import { createFinalise } from '../batch/finalise/finalise.ts';
import { createReadRows } from '../batch/finalise/read-rows.ts';
import { BatchLifecycle } from '../batch/lifecycle/lifecycle.ts';
import { batchMetrics } from '../batch/metrics.ts';
import type { FileCabinet, Validate } from '../batch/ports.ts';
import { BatchRows } from '../batch/rows/batch-rows.ts';
import { createValidate } from '../batch/validation/validate.ts';
import { isFinalBatch } from '../core/batches.ts';
import type { BlobStore } from '../core/blobs.ts';
import { API_PATHS } from '../core/call.ts';
import type { NoticeSink } from '../core/notices.ts';
import { callFromRow } from '../ingress/policy/build-request.ts';
import { MAX_JSON_DEPTH, MAX_JSON_PARTS } from '../ingress/policy/json-body.ts';
import { systemClock } from '../platform/clock.ts';
import { systemRandom } from '../platform/random.ts';
import { rowResolver } from './batch-routes.ts';
import { BATCH_WORKER_ENTRY } from './batch-worker.ts';
import { batchWorld } from './batch-world.ts';
import type { Engine } from './engine.ts';
import { openFileParts } from './files.ts';
import { ingressSettings } from './ingress-settings.ts';
import type { PoolTaker } from './pool-set.ts';
import type { ProcessOptions } from './process-options.ts';
import type { PoolViews } from './scaling.ts';

/** As of a live call. */
const ROW_JSON = { depth: MAX_JSON_DEPTH, parts: MAX_JSON_PARTS };
/** Of all embedding calls of one batch, as OpenAI has it. */
const OPENAI_EMBEDDING_INPUTS = 50_000;

export interface BatchWorldParts {
  readonly store: BlobStore;
  readonly engine: Engine;
  readonly views: PoolViews;
  readonly notices: NoticeSink;
  readonly registry: Registry;
}

/** Files, uploads and batches of one process. */
export interface BatchParts {
  readonly files: Files;
  readonly lifecycle: BatchLifecycle;
  readonly taker: PoolTaker;
  start(): void;
  /** Rows that run may take so long; batches are given to other gateways, chunks handed back. */
  stop(finishWithinMs: number): Promise<void>;
}

/** Opens them. Starts nothing but the sweep of files. */
export function openBatches(options: ProcessOptions, world: BatchWorldParts): BatchParts {
  const { config, catalogSource, redis, owner, log } = options;
  const { store, engine, views, notices, registry } = world;
  const clock = systemClock;
  const client = redis.command;
  const prefix = `${redis.keyPrefix}:${config.installation}`;
  const { fileRetentionMs } = config.batches;
  const index = new RedisBatchIndex(client, { prefix, fileRetentionMs });
  const hints = new RedisBatchHints(client, redis.channels, { prefix });
  const journal = new BlobJournal({ blobs: store, index, log, hints });
  const isUnfinished = async (id: string): Promise<boolean> => {
    const doc = await journal.read(id);
    return doc !== null && !isFinalBatch(doc.status);
  };
  const files = openFileParts(options, store, isUnfinished);
  const { cabinet } = files;
  const states = new RedisRowStates(client, prefix, systemRandom);
  const settings = ingressSettings(config);
  const rows = new BatchRows({
    store,
    states,
    journal,
    cabinet,
    records: rowRecords,
    hints: new RedisRowHints(client, redis.channels, prefix),
    book: new RedisSupplyBook(client, prefix),
    runner: engine.tally,
    toRequest: (row, body) => callFromRow(row, body, catalogSource.current(), settings, engine.tenants),
    clock,
    random: systemRandom,
    log,
    catalog: catalogSource,
    chunkRows: config.batches.chunkRows,
    rowAttempts: config.batches.rowAttempts,
    failingRows: config.batches.failingRows,
    maxResultBytes: config.limits.responseBytes,
  });
  const finishing = { store, files: cabinet, states, decodeRecord: decodeRowRecord };
  const lifecycle = new BatchLifecycle({
    owner,
    journal,
    index,
    leases: new RedisBatchLeases(client, { prefix }),
    board: new RedisBatchBoard(client, { prefix }),
    claims: new RedisCreationClaims(client, { prefix }),
    blobs: store,
    states,
    rows,
    cabinet,
    validate: validation(options, store, cabinet),
    finalise: createFinalise(finishing),
    readRows: createReadRows(finishing),
    notices,
    ids: batchIds,
    world: batchWorld(catalogSource, views, engine.quotas),
    settings: { ...config.batches, endpoints: API_PATHS },
    meter: batchMetrics(registry),
    clock,
    log,
  });
  return joined(lifecycle, rows, files);
}

function joined(lifecycle: BatchLifecycle, rows: BatchRows, files: Files): BatchParts {
  const end = new AbortController();
  let running: Promise<void> = Promise.resolve();
  return {
    files,
    lifecycle,
    taker: {
      add({ order, chunks }) {
        rows.addPool({ ledger: order, backlog: chunks });
        order.onIncarnation(() => lifecycle.redisLost());
      },
      remove: (pool) => rows.removePool(pool, 0),
    },
    start() {
      rows.start();
      running = lifecycle.run(end.signal);
    },
    async stop(finishWithinMs) {
      end.abort(new Error('this process is stopping'));
      await Promise.all([running, rows.stop(finishWithinMs)]);
    },
  };
}

function validation({ config, catalogSource }: ProcessOptions, store: BlobStore, files: FileCabinet): Validate {
  const { batchFileBytes, rows, lineBytes, models, customIdBytes, profile } = config.batches;
  const inputs = profile === 'openai' ? OPENAI_EMBEDDING_INPUTS : null;
  return createValidate({
    store,
    files,
    startThread: () => startValidationThread(BATCH_WORKER_ENTRY),
    resolve: rowResolver(catalogSource, systemRandom),
    limits: { batchFileBytes, rows, lineBytes, models, customIdBytes, inputs, json: ROW_JSON },
  });
}
