import { isFinished, isReady, isTerminating, type Pod } from './pod.ts';
import { type PodStage, podStage } from './pod-stage.ts';
import { POD_LIMITS } from './pod-trouble.ts';

/** What is remembered of one pod from look to look; times of our own monotonic clock. */
export interface PodMemory {
  readonly stage: PodStage;
  readonly stageSinceMs: number;
  /** Since it has a node; null = not yet. */
  readonly scheduledSinceMs: number | null;
  /** When it lost its readiness, within the last 10 minutes, at most 16. */
  readonly readyDropsMs: readonly number[];
  readonly isReady: boolean;
  readonly hasBeenReady: boolean;
  readonly isTerminating: boolean;
  readonly restarts: number;
}

/** The memory after another look at the pod. */
export function seePod(memory: PodMemory | undefined, pod: Pod, nowMs: number): PodMemory {
  const stage = podStage(pod, []);
  const ready = isReady(pod);
  const lost = memory?.isReady === true && !ready && !isTerminating(pod) && !isFinished(pod);
  const drops = (memory?.readyDropsMs ?? []).filter((atMs) => nowMs - atMs < POD_LIMITS.flapWindowMs);
  const restarts = (pod.status?.containerStatuses ?? []).reduce((sum, one) => sum + (one.restartCount ?? 0), 0);
  // A restart begins its boot anew; so does a pod that was ready and is not.
  const isAnew = memory !== undefined && (restarts > memory.restarts || (memory.isReady && !ready));
  const isScheduled = stage !== 'Pending';
  return {
    stage,
    stageSinceMs: memory?.stage === stage && !isAnew ? memory.stageSinceMs : nowMs,
    scheduledSinceMs: isScheduled ? ((isAnew ? null : memory?.scheduledSinceMs) ?? nowMs) : null,
    readyDropsMs: lost ? [...drops, nowMs].slice(-16) : drops,
    isReady: ready,
    hasBeenReady: ready || (memory?.hasBeenReady ?? false),
    isTerminating: isTerminating(pod),
    restarts,
  };
}
