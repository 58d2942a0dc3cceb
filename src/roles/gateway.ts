import type { Registry } from 'prom-client';
import { OpenCalls } from '../ingress/open-calls.ts';
import { systemClock } from '../platform/clock.ts';
import type { HttpServer } from '../platform/http/server.ts';
import { openEngine } from './engine.ts';
import { type GatewayWork, openGatewayWork } from './gateway-work.ts';
import { openListeners } from './listeners.ts';
import { noJobs } from './no-jobs.ts';
import type { PoolSet } from './pool-set.ts';
import type { ProcessOptions } from './process-options.ts';
import type { Scaling } from './scaling.ts';
import { queueDesks } from './queue-desks.ts';
import { StatusBoard } from './status-board.ts';

/** Where a process can be reached once it is open. */
export interface OpenedProcess {
  /** Null in a process without the API. */
  readonly apiUrl: string | null;
  readonly adminUrl: string;
  readonly models: readonly string[];
}

/** For errors to reach clients before their connections are cut. */
const LAST_WORDS_MS = 2_000;

/**
 * Opens the API and everything that runs its calls. `scalingOf` is handed the pools before they exist: their ledgers may
 * be asked for once it starts. Throws a PilotlightError for what a user can mend.
 */
export async function openGateway(
  options: ProcessOptions,
  registry: Registry,
  scalingOf: (pools: () => PoolSet) => Promise<Scaling> | Scaling,
): Promise<OpenedProcess> {
  const { config, catalogSource, closers, version, objectProblems, redis } = options;
  const scaling = await scalingOf(() => engine.pools);
  const engine = await openEngine(options, registry, scaling);
  const { pools, tally, advisor, tenants, quotas } = engine;
  const work = config.jobs.enabled ? await openGatewayWork(options, { engine, views: scaling.views, registry }) : null;
  pools.follow(work?.takers ?? []);
  await scaling.start();

  const board = new StatusBoard({
    version,
    installation: config.installation,
    catalog: catalogSource,
    objectProblems,
    ledgerOf: (pool) => pools.require(pool).order,
    views: scaling.views,
    tally,
    redis,
    clock: systemClock,
  });
  const openCalls = new OpenCalls();
  const jobs = tally.countingRefusals(work?.jobs ?? noJobs);
  const { batchApi = null, webhooks = null } = work ?? {};
  const reconcile = work ? { reconcile: work.reconcile } : {};
  const queues = queueDesks({ pools, catalog: catalogSource, stored: work?.stored ?? null });
  const listened = {
    registry,
    board,
    runner: tally,
    jobs,
    batchApi,
    webhooks,
    advisor,
    tenants,
    quotas,
    openCalls,
    queues,
    ...reconcile,
  };
  const { api, admin } = await openListeners(options, listened);
  work?.start();
  closers.add('work in progress', () => finishWork({ api, work, openCalls, drainMs: config.timeouts.drainMs }));
  board.setReadiness({ kind: 'ready' });
  closers.add('readiness', () => board.setReadiness({ kind: 'draining', reason: 'the process is stopping' }));
  const models = catalogSource.current().models();
  return { apiUrl: api.url, adminUrl: admin.url, models: models.map(({ name }) => name) };
}

interface WorkInProgress {
  readonly api: HttpServer;
  readonly work: GatewayWork | null;
  readonly openCalls: OpenCalls;
  readonly drainMs: number;
}

/** Calls and jobs are given the same time to finish; a call that needs longer still gets an error, not a cut connection. */
async function finishWork({ api, work, openCalls, drainMs }: WorkInProgress): Promise<void> {
  const patience = setTimeout(() => openCalls.endAll(), drainMs);
  try {
    await Promise.all([api.close(drainMs + LAST_WORDS_MS), work?.stop(drainMs)]);
  } finally {
    clearTimeout(patience);
  }
}
