import type { WaitAdvice } from '../autoscaler/policy/wait-advice.ts';
import type { BatchWorld } from '../batch/lifecycle/ports.ts';
import type { RowGroup } from '../batch/ports.ts';
import { PilotlightError } from '../core/errors.ts';
import type { Identity } from '../core/identity.ts';
import type { CatalogSource, PoolKey } from '../core/objects.ts';
import type { PoolStatus } from '../core/replicas.ts';
import type { RateQuotas } from '../core/tenants.ts';
import { routeObjective } from '../ingress/policy/route-call.ts';
import type { PoolViews } from './scaling.ts';

/** What objects and autoscaler say to batches. */
export function batchWorld(
  catalogSource: CatalogSource,
  views: PoolViews,
  quotas: Pick<RateQuotas, 'state'>,
): BatchWorld {
  return {
    rates: (tenant) => quotas.state(tenant),
    refuseObjective: (identity, objective, pools) => refuseObjective(catalogSource, identity, objective, pools),
    poolState(pool) {
      const status = views.status(pool);
      if (status === undefined) return { kind: 'no_capacity', message: 'nothing is known of it yet.' };
      if (status.replicas.some(({ phase }) => phase === 'Ready')) return { kind: 'serving', message: 'it serves.' };
      if (status.blockedWhy !== null) return { kind: 'no_capacity', message: status.blockedWhy };
      return { kind: 'waking', message: wakingText(status) };
    },
    forecastMs: (groups) => forecastMs(groups, (pool) => views.advice(pool)),
  };
}

/** While it sleeps, why: that may be a decision to wait for more work. */
function wakingText({ replicas, lastDecision }: PoolStatus): string {
  if (replicas.length > 0) return `it is waking, ${replicas.length} booting.`;
  return lastDecision === null ? 'it is asleep.' : `it ${lastDecision.sentence}.`;
}

function refuseObjective(
  catalogSource: CatalogSource,
  identity: Identity,
  objective: string,
  pools: readonly PoolKey[] | null,
): PilotlightError | null {
  const catalog = catalogSource.current();
  const wish = { name: objective, param: 'pilotlight.objective' };
  const answers = [...catalog.pools.values()]
    .filter(({ key }) => pools === null || pools.includes(key))
    .map((pool) => routeObjective({ catalog, identity }, pool, wish));
  const refusals = answers.filter((answer) => answer instanceof PilotlightError);
  // A batch that names no pools yet may go to any; one that has them must be welcome in each.
  const isWelcome = pools === null ? refusals.length < answers.length : refusals.length === 0;
  if (isWelcome) return null;
  return refusals[0] ?? new PilotlightError('unknown_objective', 'There is no pool yet.', { param: wish.param });
}

/** The pools work side by side: the slowest of them tells. */
function forecastMs(groups: readonly RowGroup[], adviceOf: (pool: PoolKey) => WaitAdvice | null): number | null {
  const rowsOf = new Map<PoolKey, number>();
  for (const { pool, rows } of groups) rowsOf.set(pool, (rowsOf.get(pool) ?? 0) + rows);
  let longestMs = 0;
  for (const [pool, rows] of rowsOf) {
    const advice = adviceOf(pool);
    if (advice === null) return null;
    const pods = advice.sources.length > 0 ? advice.sources : advice.ifOrdered === null ? [] : [advice.ifOrdered];
    const requestsPerMs = pods.reduce((sum, pod) => sum + pod.requestsPerMs, 0);
    if (requestsPerMs === 0) return null;
    const startInMs = Math.min(...pods.map(({ availableInMs }) => availableInMs));
    longestMs = Math.max(longestMs, startInMs + (advice.queued + rows) / requestsPerMs);
  }
  return Math.round(longestMs);
}
