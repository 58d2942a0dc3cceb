/**
 * Stored jobs without HTTP: accept → backlog → intake → live order → outcome, in one process beside one Redis with
 * its append-only file (everysec), every accept and result record synced. Requests of 1 KB, answers of 400 B, and an
 * engine that answers at once.
 *
 * The same run measures what that is made of, one after the other, so that the ratios hold on any machine:
 *   bare      BullMQ as its documentation shows it: add 1 KB jobs, a Worker that does nothing
 *   backlog   our BullMQ adapter alone: pointers, shared connection
 *   store     file store alone: one accept and one result record a job
 *   order     live order alone: reserve, confirm, enter, release, settle
 *   whole     all of it
 *
 * Each row: jobs per second, and CPU microseconds a job of this process and of Redis. Closed loop, `--callers` jobs
 * outstanding. Rounds alternate and each stage waits for a quiet machine; the median counts.
 *
 * Usage: npm run bench -- stored-jobs [--jobs 20000] [--callers 256] [--rounds 3] [--stages bare,whole] [--redis URL]
 *        [--save NAME]
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Queue, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import type { CallRunner, DispatchRequest, DispatchResult } from '../src/core/dispatch.ts';
import type { JobSpec } from '../src/core/jobs.ts';
import type { AdmissionLimits, TicketSpec } from '../src/core/live-order.ts';
import type { Catalog, ObjectiveSpec, PoolSpec } from '../src/core/objects.ts';
import type { Outcome } from '../src/core/outcome.ts';
import { EQUAL_TENANTS } from '../src/core/tenants.ts';
import { FolderBlobStore } from '../src/platform/blobs/folder/folder-blob-store.ts';
import { systemClock } from '../src/platform/clock.ts';
import { resolveRedis } from '../src/platform/local-redis/resolve.ts';
import { systemRandom } from '../src/platform/random.ts';
import { createRedis, whenReady } from '../src/platform/redis/connection.ts';
import { BullmqBacklog } from '../src/queue/adapters/bullmq/bullmq-backlog.ts';
import { shareConnection } from '../src/queue/adapters/bullmq/shared-backend.ts';
import { RedisChannels } from '../src/queue/adapters/job-index/channels.ts';
import { RedisJobHints } from '../src/queue/adapters/job-index/redis-job-hints.ts';
import { RedisJobIndex } from '../src/queue/adapters/job-index/redis-job-index.ts';
import { BlobJobStore } from '../src/queue/adapters/job-store/blob-job-store.ts';
import { poolHashTag, RedisLedgerStore } from '../src/queue/adapters/ledger/redis-ledger-store.ts';
import { StoredExecution } from '../src/queue/jobs/stored-execution.ts';
import { StoredWork } from '../src/queue/jobs/stored-work.ts';
import { PoolLiveOrder } from '../src/queue/live-order/pool-live-order.ts';
import { whenQuiet } from './support/quiet.ts';
import { circumstances, redisVersion, saveResult } from './support/results.ts';

const { values: flags } = parseArgs({
  options: {
    jobs: { type: 'string', default: '20000' },
    callers: { type: 'string', default: '256' },
    slots: { type: 'string', default: '128' },
    rounds: { type: 'string', default: '3' },
    stages: { type: 'string', default: 'bare,backlog,store,order,whole' },
    redis: { type: 'string' },
    save: { type: 'string' },
  },
});
const jobs = Number(flags.jobs);
const callers = Number(flags.callers);
const slots = Number(flags.slots);
const REQUEST = Buffer.alloc(1_000, 'q');
const ANSWER = Buffer.alloc(400, 'a');
/** A given Redis may still hold the jobs of an earlier run. */
const RUN = systemClock.epochMs().toString(36);
const QUIET_PATIENCE_MS = 30_000;
const INSTALLATION = 'bench';
const OBJECTIVE = 'nightly';
const ENDPOINTS = ['pod-a', 'pod-b', 'pod-c', 'pod-d'];
const DONE: Outcome = { kind: 'completed', httpStatus: 200, code: null, attempts: 1, usage: null };
const LIMITS: AdmissionLimits = {
  poolMaxRequests: 1e7,
  poolMaxBytes: 1e12,
  shedAtPercent: 99,
  objectiveMaxRequests: 1e7,
  objectiveMaxBytes: 1e12,
};
const quiet = (): void => undefined;
const log = { debug: quiet, info: quiet, warn: console.error, error: console.error, child: () => log };

interface Measured {
  perSecond: number;
  nodeUs: number;
  redisUs: number;
}

interface World {
  readonly url: string;
  readonly command: Redis;
  readonly subscriber: Redis;
  readonly dataDir: string;
}

/** One way of doing a job, opened for one round. `done` counts jobs that went all the way. */
interface Rig {
  submit(id: string): Promise<unknown>;
  done(): number;
  close(): Promise<void>;
}

const RIGS: Record<string, (world: World, round: string) => Promise<Rig>> = {
  bare: openBare,
  backlog: openBacklogAlone,
  store: openStoreAlone,
  order: openOrderAlone,
  whole: openWhole,
};

function openBare({ url }: World, round: string): Promise<Rig> {
  const address = new URL(url);
  const connection = {
    host: address.hostname,
    port: Number(address.port),
    password: decodeURIComponent(address.password),
    maxRetriesPerRequest: null,
  };
  const queue = new Queue(round, { connection });
  let done = 0;
  const process = (): Promise<void> => {
    done += 1;
    return Promise.resolve();
  };
  const worker = new Worker(round, process, { connection, concurrency: slots, removeOnComplete: { count: 0 } });
  const data = { body: REQUEST.toString() };
  return Promise.resolve({
    submit: (id) => queue.add('job', data, { jobId: id, priority: 1, removeOnComplete: true }),
    done: () => done,
    async close() {
      await worker.close();
      await queue.close();
    },
  });
}

async function openBacklog({ command, subscriber }: World, pool: string): Promise<BullmqBacklog> {
  return new BullmqBacklog({
    pool,
    root: `bench:${poolHashTag(INSTALLATION, pool)}`,
    client: command,
    connection: await shareConnection(command),
    channels: new RedisChannels(subscriber),
    log,
  });
}

async function openBacklogAlone(world: World, pool: string): Promise<Rig> {
  const backlog = await openBacklog(world, pool);
  let done = 0;
  const intake = backlog.intake(OBJECTIVE, () => {
    done += 1;
    return Promise.resolve({ kind: 'finished' });
  });
  intake.setWindow(slots * 2);
  const acceptRef = 'abcdefghijkl.abcdefgh:123456:1400';
  return {
    submit: (id) => backlog.add({ id, objective: OBJECTIVE, tag: 1, acceptRef, costTokens: 800 }),
    done: () => done,
    close: () => backlog.close(),
  };
}

function openStore({ dataDir }: World, installation: string): { store: BlobJobStore; closeStore: () => Promise<void> } {
  const blobs = new FolderBlobStore(join(dataDir, installation), { clock: systemClock, random: systemRandom });
  // Closes the segments of the job store too.
  return { store: new BlobJobStore({}, { blobs, log }), closeStore: () => blobs.close() };
}

function openStoreAlone(world: World, round: string): Promise<Rig> {
  const { store, closeStore } = openStore(world, round);
  let done = 0;
  return Promise.resolve({
    async submit(id) {
      const acceptRef = await store.append({ kind: 'accept', spec: specOf(id, round) }, REQUEST);
      const { tenant, acceptedAtEpochMs } = specOf(id, round);
      await store.append(
        {
          kind: 'result',
          jobId: id,
          attempt: 1,
          outcome: DONE,
          contentType: 'application/json',
          finishedAtEpochMs: systemClock.epochMs(),
          job: { pool: round, objective: OBJECTIVE, tenant, acceptRef, acceptedAtEpochMs, bodyBytes: 1_000 },
        },
        ANSWER,
      );
      done += 1;
    },
    done: () => done,
    close: closeStore,
  });
}

async function openOrder({ command, subscriber }: World, pool: string): Promise<PoolLiveOrder> {
  const store = new RedisLedgerStore({ command, subscriber, keyPrefix: 'bench:', installation: INSTALLATION, pool });
  const order = new PoolLiveOrder({ store, pool, owner: `bench-${pool}`, clock: systemClock, log });
  const perEndpoint = Math.ceil(slots / ENDPOINTS.length);
  await order.setEndpoints(ENDPOINTS.map((id) => ({ id, slots: perEndpoint, adapters: null })));
  for (const id of ENDPOINTS) await order.setGate(id, 'open');
  return order;
}

async function openOrderAlone(world: World, pool: string): Promise<Rig> {
  const order = await openOrder(world, pool);
  let done = 0;
  const { signal } = new AbortController();
  return {
    async submit(id) {
      const ticket = {
        id,
        objective: OBJECTIVE,
        priority: -10,
        fairnessId: 'bench',
        bytes: 1_000,
        costTokens: 800,
        limits: LIMITS,
      };
      await order.reserve({ ...ticket, deadlineEpochMs: null }, 60_000);
      await order.confirm({ ...ticket, deadlineEpochMs: null });
      const entry = await order.enter(ticketOf(id), { rank: () => ENDPOINTS, signal });
      if (entry.kind !== 'run') throw new Error(`it did not run: ${entry.kind}`);
      entry.lease.release();
      await entry.lease.settle(DONE, 'ref');
      done += 1;
    },
    done: () => done,
    close: () => order.close(),
  };
}

async function openWhole(world: World, pool: string): Promise<Rig> {
  const order = await openOrder(world, pool);
  const backlog = await openBacklog(world, pool);
  const { store, closeStore } = openStore(world, pool);
  const channels = new RedisChannels(world.subscriber);
  let done = 0;
  const runner = engineAtOnce(order, () => (done += 1));
  const lane = { ledger: order, backlog };
  const execution = new StoredExecution({
    runner,
    toRequest: (spec) => ({ call: { id: spec.id }, ticket: ticketOf(spec.id) }) as DispatchRequest,
    store,
    lanes: () => lane,
    clock: systemClock,
    log,
    maxResultBytes: 1_000_000,
  });
  const work = new StoredWork({
    store,
    index: new RedisJobIndex(world.command, `bench:${pool}`),
    hints: new RedisJobHints(world.command, channels, `bench:${pool}`),
    catalog: { current: () => catalogOf(pool), onChange: () => quiet },
    tenants: EQUAL_TENANTS,
    advisor: { retryAfterMs: () => 1_000 },
    execute: execution.execute,
    clock: systemClock,
    log,
    retentionMs: 3_600_000,
  });
  work.addPool(lane);
  work.start();
  await work.reconcile();
  return {
    async submit(id) {
      const answer = await work.jobs.submit(specOf(id, pool), REQUEST);
      if (answer.kind === 'rejected') throw answer.error;
    },
    done: () => done,
    async close() {
      await work.stop(10_000);
      await backlog.close();
      await order.close();
      await closeStore();
    },
  };
}

/** The dispatcher's part without HTTP: a slot, an answer, the record, the outcome. */
function engineAtOnce(order: PoolLiveOrder, onDone: () => void): CallRunner {
  return {
    async run({ ticket }, sink, { signal, persist }): Promise<DispatchResult> {
      const entry = await order.enter(ticket, { rank: () => ENDPOINTS, signal });
      if (entry.kind !== 'run') return { kind: 'handed_back', reason: entry.kind };
      sink.begin({ status: 200, headers: { 'content-type': 'application/json' } });
      sink.write(ANSWER);
      sink.end();
      entry.lease.release();
      const ref = await persist?.(DONE);
      await entry.lease.settle(DONE, ref);
      onDone();
      const times = { waitedMs: 0, firstByteMs: 0, totalMs: 0 };
      return { kind: 'completed', outcome: DONE, usage: null, endpointId: entry.lease.endpointId, times };
    },
  };
}

function ticketOf(id: string): TicketSpec {
  return {
    id,
    kind: 'stored',
    objective: OBJECTIVE,
    priority: -10,
    fairnessId: 'bench',
    weight: 1,
    costTokens: 800,
    bytes: 1_000,
    classKey: '',
    expiresAtEpochMs: null,
    arrivedAtEpochMs: null,
    limits: LIMITS,
  };
}

function specOf(id: string, pool: string): JobSpec {
  return {
    id,
    tenant: 'bench',
    pool,
    objective: OBJECTIVE,
    path: '/v1/chat/completions',
    model: 'chat',
    servedModel: 'chat',
    adapter: null,
    inputTokens: 500,
    maxOutputTokens: 300,
    acceptedAtEpochMs: systemClock.epochMs(),
    deadlineEpochMs: null,
  };
}

function catalogOf(pool: string): Catalog {
  const objective = {
    name: OBJECTIVE,
    pool,
    priority: -10,
    shedAtPercent: 99,
    maxStoredRequests: 1e7,
    maxStoredBytes: 1e12,
  } as ObjectiveSpec;
  return {
    generation: 1,
    pools: new Map([[pool, { key: pool, limits: { maxRequests: 1e7, maxBytes: 1e12 } } as PoolSpec]]),
    objectivesOf: () => [objective],
    objective: () => objective,
    defaultObjective: () => objective,
    resolveModel: () => undefined,
    rewrite: (resolution) => resolution,
    models: () => [],
  };
}

async function measure(rig: Rig, redis: Redis): Promise<Measured> {
  const redisBefore = await redisCpuUs(redis);
  const nodeBefore = process.cpuUsage();
  const startedMs = performance.now();
  let next = 0;
  const caller = async (): Promise<void> => {
    while (next < jobs) await rig.submit(`job_${(next++).toString(36)}_x`);
  };
  await Promise.all(Array.from({ length: callers }, caller));
  while (rig.done() < jobs) await new Promise((resolve) => setTimeout(resolve, 2));
  const elapsedS = (performance.now() - startedMs) / 1_000;
  const node = process.cpuUsage(nodeBefore);
  const redisUs = (await redisCpuUs(redis)) - redisBefore;
  return { perSecond: jobs / elapsedS, nodeUs: (node.user + node.system) / jobs, redisUs: redisUs / jobs };
}

async function redisCpuUs(redis: Redis): Promise<number> {
  const info = await redis.info('cpu');
  const seconds = [...info.matchAll(/^used_cpu_(?:sys|user):([\d.]+)/gm)].map((match) => Number(match[1]));
  return seconds.reduce((sum, each) => sum + each, 0) * 1e6;
}

function median(rounds: readonly Measured[], field: keyof Measured): number {
  const sorted = rounds.map((round) => round[field]).sort((a, b) => a - b);
  return Math.round(sorted[Math.floor(sorted.length / 2)] ?? 0);
}

async function main(): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'pilotlight-bench-'));
  const redis = await resolveRedis(
    { url: flags.redis, dataDir: join(dataDir, 'redis'), persistence: 'aof', lifetime: 'with-process' },
    AbortSignal.timeout(300_000),
  );
  const command = createRedis({ url: redis.url, purpose: 'command', log });
  const subscriber = createRedis({ url: redis.url, purpose: 'subscriber', log });
  try {
    await whenReady(command, 10_000);
    await report({ url: redis.url, command, subscriber, dataDir });
  } finally {
    command.disconnect();
    subscriber.disconnect();
    await redis.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

async function report(world: World): Promise<void> {
  const about = circumstances(await redisVersion(world.command));
  const stages = flags.stages.split(',');
  const results = new Map<string, Measured[]>(stages.map((name) => [name, []]));
  for (let round = 0; round < Number(flags.rounds); round += 1) {
    for (const name of stages) {
      const open = RIGS[name];
      if (!open) throw new Error(`no stage "${name}"; there are ${Object.keys(RIGS).join(', ')}`);
      const rig = await open(world, `${name}-${round}-${RUN}`);
      await whenQuiet(QUIET_PATIENCE_MS);
      results.get(name)?.push(await measure(rig, world.command));
      await rig.close();
    }
  }
  const rows = [...results].map(([name, rounds]) => ({
    name,
    perSecond: median(rounds, 'perSecond'),
    nodeUs: median(rounds, 'nodeUs'),
    redisUs: median(rounds, 'redisUs'),
  }));
  const rate = (name: string): number => rows.find((row) => row.name === name)?.perSecond ?? 0;
  const ratio = rate('whole') / rate('bare');
  process.stdout.write('stage      jobs/s   node µs/job   redis µs/job\n');
  for (const { name, perSecond, nodeUs, redisUs } of rows) {
    process.stdout.write(
      `${name.padEnd(9)} ${String(perSecond).padStart(7)} ${String(nodeUs).padStart(13)} ${String(redisUs).padStart(14)}\n`,
    );
  }
  process.stdout.write(`whole / bare = ${ratio.toFixed(2)}\n`);
  const result = { about, jobs, callers, slots, rows, wholeToBare: Number(ratio.toFixed(2)) };
  if (flags.save !== undefined) process.stdout.write(`Saved ${saveResult(flags.save, result)}\n`);
}

await main();
