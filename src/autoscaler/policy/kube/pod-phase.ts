import type { BootTrouble, WarmUpPhase } from '../../../core/replicas.ts';
import { drainMark } from './drain-mark.ts';
import { isLeaving } from './endpoints.ts';
import { epochMs, isFinished, isTerminating, isTrue, type Pod, readySinceEpochMs } from './pod.ts';
import { podStage, stageSinceEpochMs } from './pod-stage.ts';
import { admissionTrouble, podTrouble, type TroubleContext } from './pod-trouble.ts';

export interface PodPhase {
  readonly phase: WarmUpPhase;
  /** As the pod says, and never in the future. */
  readonly phaseSinceEpochMs: number;
  readonly trouble: BootTrouble | null;
  /** On its way out, and cannot be taken back. */
  readonly terminating: boolean;
  readonly readyAtEpochMs: number | null;
}

/**
 * Where a pod is on its way to Ready, from its fields; events refine. Null for a pod that is over and done: its
 * workload does not count it any more and it holds nothing.
 */
export function podPhase(pod: Pod, context: Omit<TroubleContext, 'stage'>): PodPhase | null {
  const { nowEpochMs } = context;
  const past = (time: number | null): number => Math.min(nowEpochMs, time ?? nowEpochMs);
  if (isFinished(pod)) {
    const rejected = admissionTrouble(pod);
    if (rejected === null || isTerminating(pod)) return null;
    const sinceMs = past(epochMs(pod.status?.startTime) ?? epochMs(pod.metadata.creationTimestamp));
    return at('Stuck', sinceMs, { trouble: rejected.trouble });
  }
  const ready = readySinceEpochMs(pod);
  const readyAtEpochMs = ready === null ? null : past(ready);
  if (isLeaving(pod)) {
    const isGoing = isTerminating(pod) || isTrue(pod, 'DisruptionTarget');
    const sinceMs = isTerminating(pod) ? endOrderedAt(pod) : (drainMark(pod)?.sinceEpochMs ?? null);
    return at('Draining', past(sinceMs), { terminating: isGoing, readyAtEpochMs });
  }
  const stage = podStage(pod, context.events);
  const found = podTrouble(pod, { ...context, stage });
  const sinceMs = past(stageSinceEpochMs(pod, stage));
  if (found?.stuck === true) return at('Stuck', nowEpochMs, { trouble: found.trouble });
  // It serves nobody before we have reached it once.
  const phase = found?.trouble.kind === 'Unreachable' ? 'ModelLoading' : stage;
  return at(phase, sinceMs, { trouble: found?.trouble ?? null, readyAtEpochMs });
}

/** `deletionTimestamp` is when the grace ends. */
function endOrderedAt(pod: Pod): number | null {
  const endsMs = epochMs(pod.metadata.deletionTimestamp);
  return endsMs === null ? null : endsMs - (pod.metadata.deletionGracePeriodSeconds ?? 0) * 1_000;
}

function at(phase: WarmUpPhase, phaseSinceEpochMs: number, rest: Partial<PodPhase>): PodPhase {
  return { phase, phaseSinceEpochMs, trouble: null, terminating: false, readyAtEpochMs: null, ...rest };
}
