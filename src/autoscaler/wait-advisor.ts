import type { WaitAdvisor, WaitStatus } from '../core/dispatch.ts';
import { type PoolStatusSource, type Replica, WARM_UP_PHASES } from '../core/replicas.ts';
import { queuedAhead, type WaitAdvice } from './policy/wait-advice.ts';
import { slotInMs } from './policy/wait-time.ts';

export interface AdviceSource extends PoolStatusSource {
  /** Null before the first look at the pool. */
  advice(pool: string): WaitAdvice | null;
}

/** The priority of an objective of a pool; 0 when neither is known. */
export type PriorityOf = (pool: string, objective: string) => number;

/** Whether the objective gets no slots, by its policy or by an operator. */
export type IsPaused = (pool: string, objective: string) => boolean;

const LEAST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 600_000;
/** A refused caller should find this share of what stands before it gone when it comes back. */
const RETRY_QUEUE_RATIO = 0.1;

/** Tells callers how long they will wait and when to come back, from the control loop's last look. */
export function createWaitAdvisor(
  source: AdviceSource,
  priorityOf: PriorityOf,
  isPaused: IsPaused = () => false,
): WaitAdvisor {
  return {
    status(pool, objective, position): WaitStatus {
      // Nobody knows when it is resumed.
      if (isPaused(pool, objective)) return { position, phase: 'paused', etaMs: null };
      const advice = source.advice(pool);
      const exactMs = advice === null ? null : slotInMs(position, sourcesFor(advice, objective));
      const etaMs = exactMs === null ? null : Math.round(exactMs);
      return { position, phase: phaseWord(source.status(pool)?.replicas ?? [], etaMs), etaMs };
    },
    retryAfterMs(pool, objective) {
      const advice = source.advice(pool);
      if (advice === null) return LEAST_RETRY_MS;
      const hasReady = advice.sources.some(({ availableInMs }) => availableInMs === 0);
      const readyInMs = hasReady ? 0 : (source.status(pool)?.nextReadyMs?.p50 ?? 0);
      const drainMs =
        ((queuedAhead(advice, priorityOf(pool, objective)) * RETRY_QUEUE_RATIO) / ratePerS(advice)) * 1_000;
      return Math.round(Math.min(LONGEST_RETRY_MS, Math.max(LEAST_RETRY_MS, readyInMs + drainMs)));
    },
    capacity(pool) {
      const status = source.status(pool);
      if (status === undefined) return { canCome: false, why: `pool ${pool} is not managed here` };
      return status.blockedWhy === null ? { canCome: true } : { canCome: false, why: status.blockedWhy };
    },
  };
}

/** A pool at zero is woken by a call that must not wait; one that may wait cannot be told when. */
function sourcesFor(advice: WaitAdvice, objective: string): WaitAdvice['sources'] {
  if (advice.sources.length > 0 || advice.ifOrdered === null) return advice.sources;
  return advice.immediate.has(objective) ? [advice.ifOrdered] : [];
}

/** Requests per second: as measured over the last minute, or what the pods should do while nothing was measured. */
function ratePerS(advice: WaitAdvice): number {
  if (advice.finishedPerS > 0) return advice.finishedPerS;
  const pods = advice.sources.length > 0 ? advice.sources : advice.ifOrdered === null ? [] : [advice.ifOrdered];
  const expected = pods.reduce((sum, { requestsPerMs }) => sum + requestsPerMs, 0) * 1_000;
  return expected > 0 ? expected : 1;
}

/** "queued" while something serves; else the phase of the replica that is furthest on its way, or "waking". */
function phaseWord(replicas: readonly Replica[], etaMs: number | null): string {
  if (replicas.some(({ phase }) => phase === 'Ready')) return 'queued';
  const furthest = WARM_UP_PHASES.slice(0, WARM_UP_PHASES.indexOf('Ready')).findLast((phase) =>
    replicas.some((replica) => replica.phase === phase),
  );
  return furthest ?? (etaMs === null ? 'queued' : 'waking');
}
