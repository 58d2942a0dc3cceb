import type { PoolStatus } from '../../../core/replicas.ts';
import type { WaitAdvice } from '../../policy/wait-advice.ts';
import type { TargetReport } from '../../pool-view.ts';

/**
 * A Lease is taken over within 17 s; until a new leader can have spoken a caller had better wait than be refused
 * ("after 30 s Degraded", as for a queue that is not reached).
 */
const SILENCE_REFUSES_AFTER_MS = 30_000;

/**
 * A status that was told `ageMs` ago, as it is now. With `silence`, a sentence that says why nothing newer is known,
 * nothing is promised any more: no time of the next replica, and after 30 s no capacity unless a replica was ready.
 */
export function agedStatus(status: PoolStatus, ageMs: number, silence: string | null): PoolStatus {
  const { nextReadyMs, replicas, blockedWhy } = status;
  if (silence !== null) {
    const mayWait = ageMs < SILENCE_REFUSES_AFTER_MS || replicas.some(({ phase }) => phase === 'Ready');
    return { ...status, nextReadyMs: null, blockedWhy: blockedWhy ?? (mayWait ? null : silence) };
  }
  if (nextReadyMs === null || !replicas.some(isBooting)) return status;
  const left = (ms: number): number => Math.max(0, Math.round(ms - ageMs));
  return { ...status, nextReadyMs: { p50: left(nextReadyMs.p50), p90: left(nextReadyMs.p90) } };
}

/** As `agedStatus`: while the controller is silent nobody orders a replica for a caller. */
export function agedAdvice(advice: WaitAdvice, ageMs: number, isSilent: boolean): WaitAdvice {
  const sources = advice.sources.map((source) => ({
    ...source,
    availableInMs: Math.max(0, source.availableInMs - ageMs),
  }));
  return { ...advice, sources, ifOrdered: isSilent ? null : advice.ifOrdered };
}

export function agedTarget(target: TargetReport, ageMs: number): TargetReport {
  const { breaker } = target;
  if (breaker === null || breaker.retryInMs === null) return target;
  return { ...target, breaker: { ...breaker, retryInMs: Math.max(0, breaker.retryInMs - ageMs) } };
}

/** Time runs down for a boot; what an order would take is the same tomorrow. */
function isBooting({ phase }: PoolStatus['replicas'][number]): boolean {
  return phase !== 'Ready' && phase !== 'Draining' && phase !== 'Stuck';
}
