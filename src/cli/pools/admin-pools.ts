import type { ObjectiveReport, PoolReport, StatusReport } from '../../core/status.ts';
import { type Client, expectJson } from '../client.ts';
import type { PoolCommand, PoolDetails, PoolSource, PoolView } from './pool-view.ts';

const KEPT_DECISIONS = 6;

interface DecisionRecordView {
  readonly atEpochMs: number;
  readonly lastAtEpochMs?: number;
  readonly decision: {
    readonly rule: string;
    readonly sentence: string;
    readonly components?: Readonly<Record<string, unknown>>;
    readonly wouldChange?: readonly string[];
  };
}

/** Pools as the admin listener of a running Pilotlight tells them. */
export function adminPools(client: Client): PoolSource {
  const ask = async (path: string, signal: AbortSignal): Promise<unknown> =>
    expectJson(await client.send({ path, signal }));
  return {
    where: client.url,
    namespace: null,
    async pools(signal) {
      const report = (await ask('/status', signal)) as StatusReport;
      return report.pools.map((pool) => reportedPool(pool, report.nowEpochMs));
    },
    async details(view, signal) {
      const [report, answer, order] = await Promise.all([
        ask('/status', signal) as Promise<StatusReport>,
        ask(`${pathOf(view)}/decisions`, signal) as Promise<{ readonly decisions: readonly DecisionRecordView[] }>,
        ask(`${pathOf(view)}/orders`, signal) as Promise<OrderAnswer>,
      ]);
      const pool = report.pools.find(({ pool: key }) => key === view.pool);
      const [last, ...earlier] = answer.decisions;
      const now = pool ? reportedPool(pool, report.nowEpochMs) : view;
      return {
        ...now,
        decision: last
          ? {
              atEpochMs: last.atEpochMs,
              rule: last.decision.rule,
              sentence: last.decision.sentence,
              wouldChange: last.decision.wouldChange ?? [],
            }
          : now.decision,
        orders: orderSentences(order),
        replicas: (pool?.replicas ?? []).map((replica) => ({
          name: replica.uid,
          phase: replica.phase,
          phaseSinceEpochMs: replica.phaseSinceEpochMs,
          node: null,
          restarts: replica.restarts,
          trouble: replica.trouble ? `${replica.trouble.kind}: ${replica.trouble.message}` : replica.message,
        })),
        replicasUnknownWhy: null,
        components: last?.decision.components ?? null,
        earlier: earlier
          .slice(0, KEPT_DECISIONS)
          .map(({ atEpochMs, decision: { rule, sentence } }) => ({ atEpochMs, rule, sentence })),
      } satisfies PoolDetails;
    },
    async order(view, command, signal) {
      const path = `${pathOf(view)}/${command.verb}`;
      const answer = await client.send({ method: 'POST', path, body: JSON.stringify(bodyOf(command)), signal });
      return orderSentences(expectJson(answer) as OrderAnswer);
    },
    close: () => Promise.resolve(),
  };
}

function pathOf({ pool }: PoolView): string {
  return `/pools/${pool.split('/').map(encodeURIComponent).join('/')}`;
}

function bodyOf(command: PoolCommand): object {
  if (command.verb === 'wake') return { for: `${command.forMs}ms`, replicas: command.replicas };
  return command.verb === 'drain' ? { for: `${command.forMs}ms` } : {};
}

interface OrderAnswer {
  readonly wake: { readonly until: string; readonly replicas: number } | null;
  readonly drain: { readonly until: string } | null;
  readonly paused: boolean;
  readonly by: string | null;
}

function orderSentences({ wake, drain, paused, by }: OrderAnswer): readonly string[] {
  const who = by === null ? '' : ` (ordered by ${by})`;
  const until = (time: string): string => `until ${time.replace(/\.\d+Z$/, 'Z')}`;
  return [
    ...(wake
      ? [
          `at least ${wake.replicas} ${wake.replicas === 1 ? 'replica is' : 'replicas are'} kept up ${until(wake.until)}${who}`,
        ]
      : []),
    ...(drain ? [`the pool is drained and stays at zero ${until(drain.until)}, whatever is queued${who}`] : []),
    ...(paused ? [`paused: replicas stay as they are until it is resumed${who}`] : []),
  ];
}

export function reportedPool(report: PoolReport, nowEpochMs: number): PoolView {
  const { replicasByPhase: counts, objectives, nextReadyMs, lastDecision } = report;
  const sum = (count: (objective: ObjectiveReport) => number): number =>
    objectives.reduce((total, objective) => total + count(objective), 0);
  const oldest = objectives.flatMap(({ oldestWaitMs }) => oldestWaitMs ?? []);
  const all = Object.values(counts).reduce((total, count) => total + count, 0);
  return {
    pool: report.pool,
    policy: null,
    models: report.models,
    phase: report.phase,
    ready: counts.Ready ?? 0,
    booting: all - (counts.Ready ?? 0) - (counts.Draining ?? 0) - (counts.Stuck ?? 0),
    desired: report.desiredReplicas,
    replicasByPhase: counts,
    queued: sum(queuedOf),
    running: sum(({ running }) => running),
    oldestQueuedAtEpochMs: oldest.length === 0 ? null : nowEpochMs - Math.max(...oldest),
    nextReadyAtEpochMs: report.phase === 'Waking' && nextReadyMs !== null ? nowEpochMs + nextReadyMs.p50 : null,
    decision: lastDecision && { ...lastDecision, wouldChange: [] },
    blockedWhy: report.blockedWhy,
    objectives,
    targets: [],
    conditions: [],
    orders: [],
  };
}

/** `stored` counts those that wait in the live order or run, too. */
export function queuedOf({ waitingHeld, waitingStored, stored, running }: ObjectiveReport): number {
  return waitingHeld + Math.max(waitingStored, stored - running);
}
