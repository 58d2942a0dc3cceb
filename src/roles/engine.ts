import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Registry } from 'prom-client';
import { learnedStateFile } from '../autoscaler/adapters/learned-state-file.ts';
import { LocalProcesses } from '../autoscaler/adapters/process-target/process-target.ts';
import { Autoscaler } from '../autoscaler/autoscaler.ts';
import { autoscalerMetrics } from '../autoscaler/metrics.ts';
import { createWaitAdvisor } from '../autoscaler/wait-advisor.ts';
import type { Config } from '../config/config.ts';
import type { WaitAdvisor } from '../core/dispatch.ts';
import { PilotlightError } from '../core/errors.ts';
import { UndiciModelServer } from '../dispatcher/adapters/undici-model-server.ts';
import { type DispatcherMetrics, dispatcherMetrics } from '../dispatcher/metrics.ts';
import { DispatchRunner } from '../dispatcher/runner.ts';
import { HttpMetricsSource } from '../picker/adapters/http-metrics-source.ts';
import { loadXxhash64 } from '../picker/adapters/xxhash.ts';
import { pickerMetrics } from '../picker/metrics.ts';
import { compileProfile, type Profile } from '../picker/policy/profile.ts';
import { systemClock } from '../platform/clock.ts';
import { systemRandom } from '../platform/random.ts';
import { FileJobStore } from '../queue/adapters/file-store/file-job-store.ts';
import { liveOrderMetrics } from '../queue/live-order/metrics.ts';
import { OutcomeTally } from './outcome-tally.ts';
import { PoolSet } from './pool-set.ts';
import type { ProcessOptions } from './process-options.ts';
import { selfCommand } from './self-command.ts';

/** What runs calls: pools with their orders, the dispatcher, and the autoscaler with its processes. */
export interface Engine {
  readonly pools: PoolSet;
  readonly autoscaler: Autoscaler;
  readonly advisor: WaitAdvisor;
  readonly tally: OutcomeTally;
  readonly store: FileJobStore;
}

export async function openEngine(options: ProcessOptions, registry: Registry): Promise<Engine> {
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

async function openPools(options: ProcessOptions, needs: PoolNeeds): Promise<PoolSet> {
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
