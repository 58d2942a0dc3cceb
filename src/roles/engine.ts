import type { Registry } from 'prom-client';
import { createWaitAdvisor } from '../autoscaler/wait-advisor.ts';
import type { Config } from '../config/config.ts';
import { ConfiguredTenants } from '../config/tenant-terms.ts';
import type { WaitAdvisor } from '../core/dispatch.ts';
import { PilotlightError } from '../core/errors.ts';
import type { RateQuotas, TenantDirectory } from '../core/tenants.ts';
import { UndiciModelServer } from '../dispatcher/adapters/undici-model-server.ts';
import { refusalCounter } from '../dispatcher/call-metrics.ts';
import { type DispatcherMetrics, dispatcherMetrics } from '../dispatcher/metrics.ts';
import { DispatchRunner } from '../dispatcher/runner.ts';
import { HttpMetricsSource } from '../picker/adapters/http-metrics-source.ts';
import { loadXxhash32 } from '../picker/adapters/xxhash.ts';
import { pickerMetrics } from '../picker/metrics.ts';
import { compileProfile, type Profile } from '../picker/policy/profile.ts';
import { systemClock } from '../platform/clock.ts';
import { systemRandom } from '../platform/random.ts';
import { RedisRateStore } from '../queue/adapters/quotas/redis-rate-store.ts';
import { liveOrderMetrics } from '../queue/live-order/metrics.ts';
import { LeasedQuotas } from '../queue/quotas/leased-quotas.ts';
import { MeteredRunner } from '../queue/quotas/metered-runner.ts';
import { quotaMetrics } from '../queue/quotas/metrics.ts';
import { OutcomeTally } from './outcome-tally.ts';
import { PausedObjectives } from './paused-objectives.ts';
import { PoolSet } from './pool-set.ts';
import type { ProcessOptions } from './process-options.ts';
import type { Scaling } from './scaling.ts';

/** What runs calls: pools with their orders, and the dispatcher. */
export interface Engine {
  readonly pools: PoolSet;
  readonly advisor: WaitAdvisor;
  /** Runs calls, held to the rates of their tenants. */
  readonly tally: OutcomeTally;
  readonly tenants: TenantDirectory;
  readonly quotas: RateQuotas;
}

/** Opens what runs calls on the endpoints of `scaling`. Starts nothing. */
export async function openEngine(options: ProcessOptions, registry: Registry, scaling: Scaling): Promise<Engine> {
  const { config, log, closers } = options;
  const metrics = dispatcherMetrics(registry);
  const modelServer = new UndiciModelServer({ connectTimeoutMs: config.timeouts.connectMs });
  closers.add('model server connections', () => modelServer.close());
  const pools = await openPools(options, { registry, metrics, modelServer, scaling });
  const catalog = options.catalogSource;
  const paused = new PausedObjectives({ catalog, orderOf: (pool) => pools.get(pool)?.order, clock: systemClock });
  const advisor = createWaitAdvisor(
    scaling.views,
    (pool, objective) => catalog.current().objective(pool, objective)?.priority ?? 0,
    paused.isPaused,
  );
  const runner = new DispatchRunner({
    poolRuntimes: (pool) => pools.get(pool)?.runtime,
    directory: scaling.directory,
    modelServer,
    advisor,
    clock: systemClock,
    random: systemRandom,
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
  const tenants = new ConfiguredTenants(config);
  const quotas = openQuotas(options, registry, tenants);
  const metered = new MeteredRunner({ runner, quotas, clock: systemClock, onRefused: refusalCounter(metrics) });
  return { pools, advisor, tally: new OutcomeTally(metered), tenants, quotas };
}

function openQuotas(
  { config, redis, closers }: ProcessOptions,
  registry: Registry,
  tenants: TenantDirectory,
): LeasedQuotas {
  const quotas = new LeasedQuotas({
    store: new RedisRateStore(redis.command, redis.keyPrefix, config.installation),
    tenants,
    clock: systemClock,
    meter: quotaMetrics(registry),
  });
  closers.add('quotas', () => quotas.close());
  return quotas;
}

interface PoolNeeds {
  readonly registry: Registry;
  readonly metrics: DispatcherMetrics;
  readonly modelServer: UndiciModelServer;
  readonly scaling: Scaling;
}

async function openPools(options: ProcessOptions, needs: PoolNeeds): Promise<PoolSet> {
  const { config, catalogSource, redis, owner, log, closers } = options;
  const scraper = new HttpMetricsSource();
  closers.add('scraper', () => scraper.close());
  const world = {
    redis,
    installation: config.installation,
    owner,
    directory: needs.scaling.directory,
    hasPeers: needs.scaling.hasPeers,
    knowledge: () => needs.scaling.knowledge(),
    modelServer: needs.modelServer,
    scraper,
    scrapeBusyEveryMs: config.picker.scrapeBusyEveryMs,
    scrapeIdleEveryMs: config.picker.scrapeIdleEveryMs,
    profile: profileOf(config),
    hash: await loadXxhash32(),
    outcomeRetentionMs: config.limits.jobResultRetentionMs,
    clock: systemClock,
    random: systemRandom,
    log,
    dispatcherMetrics: needs.metrics,
    pickerMetrics: pickerMetrics(needs.registry),
  };
  const pools = new PoolSet(world, catalogSource);
  closers.add('pools', () => pools.close());
  liveOrderMetrics(needs.registry, () => {
    const catalog = catalogSource.current();
    return [...catalog.pools.values()].map(({ key, limits }) => ({
      pool: key,
      ...limits,
      limitsOf: (name) =>
        [catalog.defaultObjective(key), ...catalog.objectivesOf(key)].find((one) => one.name === name),
      snapshot: () => pools.require(key).order.snapshot(),
    }));
  });
  return pools;
}

function profileOf(config: Config): Profile {
  const compiled = compileProfile(config.picker.plugins);
  if (compiled.ok) return compiled.profile;
  const problem = `picker.plugins: ${compiled.problems.join('; ')}.`;
  throw new PilotlightError('config_invalid', problem, { param: 'picker.plugins' });
}
