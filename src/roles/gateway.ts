import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Registry } from 'prom-client';
import { learnedStateFile } from '../autoscaler/adapters/learned-state-file.ts';
import { LocalProcesses } from '../autoscaler/adapters/process-target/process-target.ts';
import { Autoscaler } from '../autoscaler/autoscaler.ts';
import { autoscalerMetrics } from '../autoscaler/metrics.ts';
import { createWaitAdvisor } from '../autoscaler/wait-advisor.ts';
import type { Config } from '../config/config.ts';
import type { FileCatalogSource } from '../config/objects/file-catalog-source.ts';
import { formatProblem } from '../config/problem.ts';
import type { CallRunner, WaitAdvisor } from '../core/dispatch.ts';
import { PilotlightError } from '../core/errors.ts';
import type { JobService } from '../core/jobs.ts';
import type { Logger } from '../core/logger.ts';
import { UndiciModelServer } from '../dispatcher/adapters/undici-model-server.ts';
import { type DispatcherMetrics, dispatcherMetrics } from '../dispatcher/metrics.ts';
import { DispatchRunner } from '../dispatcher/runner.ts';
import { createAdminApp } from '../ingress/adapters/admin-app.ts';
import { configuredKeys } from '../ingress/adapters/configured-keys.ts';
import { createPublicApp } from '../ingress/adapters/public-app.ts';
import { uniqueIds } from '../ingress/adapters/unique-ids.ts';
import { OpenCalls } from '../ingress/open-calls.ts';
import { callFromJob } from '../ingress/policy/build-request.ts';
import { HttpMetricsSource } from '../picker/adapters/http-metrics-source.ts';
import { loadXxhash64 } from '../picker/adapters/xxhash.ts';
import { pickerMetrics } from '../picker/metrics.ts';
import { compileProfile, type Profile } from '../picker/policy/profile.ts';
import { systemClock } from '../platform/clock.ts';
import { type HttpServer, startServer } from '../platform/http/server.ts';
import { createRegistry } from '../platform/metrics.ts';
import { systemRandom } from '../platform/random.ts';
import { FileJobStore } from '../queue/adapters/file-store/file-job-store.ts';
import { RedisJobHints } from '../queue/adapters/job-index/redis-job-hints.ts';
import { RedisJobIndex } from '../queue/adapters/job-index/redis-job-index.ts';
import { storedJobMetrics } from '../queue/jobs/metrics.ts';
import { StoredExecution } from '../queue/jobs/stored-execution.ts';
import { StoredWork } from '../queue/jobs/stored-work.ts';
import { liveOrderMetrics } from '../queue/live-order/metrics.ts';
import type { Closers } from './closers.ts';
import { ingressSettings } from './ingress-settings.ts';
import { OutcomeTally } from './outcome-tally.ts';
import { PoolSet } from './pool-set.ts';
import type { RedisLink } from './redis-link.ts';
import { selfCommand } from './self-command.ts';
import { StatusBoard } from './status-board.ts';

export interface GatewayOptions {
  readonly config: Config;
  readonly catalogSource: FileCatalogSource;
  readonly redis: RedisLink;
  readonly log: Logger;
  readonly version: string;
  /** Gets what must be closed, in the order of opening. */
  readonly closers: Closers;
}

export interface OpenGateway {
  readonly apiUrl: string;
  readonly adminUrl: string;
  readonly models: readonly string[];
}

/** For errors to reach clients before their connections are cut. */
const LAST_WORDS_MS = 2_000;

/** Builds every role of one process and opens its listeners. Throws a PilotlightError for what a user can mend. */
export async function openGateway(options: GatewayOptions): Promise<OpenGateway> {
  const { config, catalogSource, closers, version } = options;
  const registry = createRegistry({ version, role: 'all' });
  const engine = await openEngine(options, registry);
  const { pools, autoscaler, tally, advisor } = engine;
  const stored = openStoredWork(options, engine, registry);
  pools.follow(stored);
  await autoscaler.start();
  closers.add('autoscaler', () => autoscaler.stop());

  const board = new StatusBoard({
    version,
    installation: config.installation,
    catalog: catalogSource,
    objectProblems: () => catalogSource.problems().map(formatProblem),
    pools,
    autoscaler,
    tally,
    redis: options.redis,
    clock: systemClock,
  });
  const openCalls = new OpenCalls();
  const needs = { registry, board, runner: tally, jobs: stored.jobs, advisor, openCalls };
  const { api, admin } = await openListeners(options, needs);
  stored.start();
  closers.add('work in progress', () => finishWork({ api, stored, openCalls, drainMs: config.timeouts.drainMs }));
  board.setReadiness({ kind: 'ready' });
  closers.add('readiness', () => board.setReadiness({ kind: 'draining', reason: 'the process is stopping' }));
  const models = catalogSource.current().models();
  return { apiUrl: api.url, adminUrl: admin.url, models: models.map(({ name }) => name) };
}

interface WorkInProgress {
  readonly api: HttpServer;
  readonly stored: StoredWork;
  readonly openCalls: OpenCalls;
  readonly drainMs: number;
}

/** Calls and jobs are given the same time to finish; a call that needs longer still gets an error, not a cut connection. */
async function finishWork({ api, stored, openCalls, drainMs }: WorkInProgress): Promise<void> {
  const patience = setTimeout(() => openCalls.endAll(), drainMs);
  try {
    await Promise.all([api.close(drainMs + LAST_WORDS_MS), stored.stop(drainMs)]);
  } finally {
    clearTimeout(patience);
  }
}

/** What runs calls: pools with their orders, the dispatcher, and the autoscaler with its processes. */
interface Engine {
  readonly pools: PoolSet;
  readonly autoscaler: Autoscaler;
  readonly advisor: WaitAdvisor;
  readonly tally: OutcomeTally;
  readonly store: FileJobStore;
}

async function openEngine(options: GatewayOptions, registry: Registry): Promise<Engine> {
  const { config, catalogSource, log, closers } = options;
  const clock = systemClock;
  const random = systemRandom;
  const stateDir = join(config.data.dir, config.installation);
  const metrics = dispatcherMetrics(registry);

  const store = new FileJobStore(
    { dataDir: config.data.dir, installation: config.installation },
    { clock, random, log },
  );
  closers.add('job store', () => store.close());
  const modelServer = new UndiciModelServer({ connectTimeoutMs: config.timeouts.connectMs });
  closers.add('model server connections', () => modelServer.close());
  const processes = new LocalProcesses({
    clock,
    log,
    dataDir: stateDir,
    self: selfCommand(),
    environment: process.env,
  });
  const pools = await openPools(options, { registry, metrics, modelServer, processes });
  const autoscaler = new Autoscaler({
    clock,
    log,
    catalog: catalogSource,
    ledgerOf: (pool) => pools.require(pool).order,
    target: processes,
    learned: learnedStateFile(join(stateDir, 'learned.json')),
    metrics: autoscalerMetrics(registry),
  });
  const advisor = createWaitAdvisor(autoscaler);
  const runner = new DispatchRunner({
    poolRuntimes: (pool) => pools.get(pool)?.runtime,
    directory: processes,
    modelServer,
    advisor,
    clock,
    random,
    log,
    metrics,
    options: {
      maxAttemptsHeld: config.dispatcher.maxAttempts,
      maxAttemptsStored: config.dispatcher.maxStoredAttempts,
      maxPlainAnswerBytes: config.limits.responseBytes,
      maxCollectedBytes: config.limits.collectedBytes,
    },
  });
  closers.add('dispatcher', () => runner.close());
  closers.add('local processes', () => processes.close());
  return { pools, autoscaler, advisor, tally: new OutcomeTally(runner), store };
}

interface PoolNeeds {
  readonly registry: Registry;
  readonly metrics: DispatcherMetrics;
  readonly modelServer: UndiciModelServer;
  readonly processes: LocalProcesses;
}

async function openPools(options: GatewayOptions, needs: PoolNeeds): Promise<PoolSet> {
  const { config, catalogSource, redis, log, closers } = options;
  const scraper = new HttpMetricsSource();
  closers.add('scraper', () => scraper.close());
  const world = {
    redis,
    installation: config.installation,
    owner: `${hostname()}-${process.pid}-${systemClock.epochMs().toString(36)}`,
    directory: needs.processes,
    modelServer: needs.modelServer,
    scraper,
    scrapeBusyEveryMs: config.picker.scrapeBusyEveryMs,
    scrapeIdleEveryMs: config.picker.scrapeIdleEveryMs,
    profile: profileOf(config),
    hash: await loadXxhash64(),
    outcomeRetentionMs: config.limits.jobResultRetentionMs,
    clock: systemClock,
    random: systemRandom,
    log,
    dispatcherMetrics: needs.metrics,
    pickerMetrics: pickerMetrics(needs.registry),
  };
  const pools = new PoolSet(world, catalogSource);
  closers.add('pools', () => pools.close());
  liveOrderMetrics(needs.registry, () =>
    [...catalogSource.current().pools.values()].map(({ key, limits }) => ({
      pool: key,
      ...limits,
      snapshot: () => pools.require(key).order.snapshot(),
    })),
  );
  return pools;
}

function profileOf(config: Config): Profile {
  const compiled = compileProfile(config.picker.plugins);
  if (compiled.ok) return compiled.profile;
  const problem = `picker.plugins: ${compiled.problems.join('; ')}.`;
  throw new PilotlightError('config_invalid', problem, { param: 'picker.plugins' });
}

function openStoredWork(
  { config, catalogSource, redis, log }: GatewayOptions,
  engine: Engine,
  registry: Registry,
): StoredWork {
  const { pools, store, tally, advisor } = engine;
  const clock = systemClock;
  const settings = ingressSettings(config);
  const execution = new StoredExecution({
    runner: tally,
    toRequest: (spec, body) => callFromJob(spec, body, catalogSource.current(), settings),
    store,
    lanes: (pool) => pools.get(pool)?.lane,
    clock,
    log,
    maxResultBytes: config.limits.responseBytes,
  });
  const prefix = `${redis.keyPrefix}:${config.installation}`;
  return new StoredWork({
    store,
    index: new RedisJobIndex(redis.command, prefix),
    hints: new RedisJobHints(redis.command, redis.channels, prefix),
    catalog: catalogSource,
    advisor,
    execute: execution.execute,
    clock,
    log,
    retentionMs: config.limits.jobResultRetentionMs,
    meter: storedJobMetrics(registry),
  });
}

interface ListenerNeeds {
  readonly registry: Registry;
  readonly board: StatusBoard;
  readonly runner: CallRunner;
  readonly jobs: JobService;
  readonly advisor: WaitAdvisor;
  readonly openCalls: OpenCalls;
}

/** The admin listener is opened first and closed last, so that it can tell why the other is not there. */
async function openListeners(
  { config, catalogSource, log, closers }: GatewayOptions,
  { registry, board, runner, jobs, advisor, openCalls }: ListenerNeeds,
): Promise<{ readonly api: HttpServer; readonly admin: HttpServer }> {
  const metrics = { contentType: registry.contentType, metrics: () => registry.metrics() };
  const admin = await startServer(createAdminApp({ readiness: board, metrics, status: board, log }), {
    ...config.admin,
    portSetting: 'admin.port',
  });
  closers.add('admin listener', () => admin.close(0));
  const app = createPublicApp({
    catalog: catalogSource,
    runner,
    jobs,
    advisor,
    clock: systemClock,
    ids: uniqueIds(systemClock),
    log,
    settings: ingressSettings(config),
    authenticator: configuredKeys(config.tenants, config.auth.anonymous),
    readiness: board,
    registry,
    openCalls,
  });
  const api = await startServer(app, { ...config.server, portSetting: 'server.port' });
  return { api, admin };
}
