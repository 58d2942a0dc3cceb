import type { WarmUpPhase } from '../../../core/replicas.ts';
import { condition, epochMs, isReady, isTrue, type Pod, relevantContainers } from './pod.ts';
import { newest, type PodEvent } from './pod-events.ts';

/** How far a pod has come, whatever may keep it there. */
export type PodStage = Extract<
  WarmUpPhase,
  'Pending' | 'Scheduled' | 'ImagePulling' | 'ContainerStarted' | 'ModelLoading' | 'Ready'
>;

/**
 * | stage | when |
 * | Pending | no node yet |
 * | Scheduled | a node, and nothing prepared there |
 * | ImagePulling | its sandbox is there or an Event says Pulling, and no container runs |
 * | ContainerStarted | an init container or some of its containers run, others still wait |
 * | ModelLoading | every container runs, not ready |
 * | Ready | condition Ready |
 */
export function podStage(pod: Pod, events: readonly PodEvent[]): PodStage {
  if (isReady(pod)) return 'Ready';
  if ((pod.spec?.nodeName ?? '') === '' || condition(pod, 'PodScheduled')?.status === 'False') return 'Pending';
  const main = pod.status?.containerStatuses ?? [];
  const hasStarted = ({ state, restartCount = 0 }: (typeof main)[number]): boolean =>
    state?.running !== undefined || state?.terminated !== undefined || restartCount > 0;
  if (main.length > 0 && main.every(hasStarted)) return 'ModelLoading';
  const init = pod.status?.initContainerStatuses ?? [];
  if (main.some(hasStarted) || init.some(hasStarted)) return 'ContainerStarted';
  const isPulling = newest(events, 'Pulling') !== undefined || isTrue(pod, 'PodReadyToStartContainers');
  return isPulling ? 'ImagePulling' : 'Scheduled';
}

/** When the pod's fields say that it came there; null when they do not say. */
export function stageSinceEpochMs(pod: Pod, stage: PodStage): number | null {
  const transition = (type: string): number | null => epochMs(condition(pod, type)?.lastTransitionTime);
  switch (stage) {
    case 'Ready':
      return transition('Ready');
    case 'ModelLoading':
    case 'ContainerStarted': {
      const starts = relevantContainers(pod).flatMap(({ state }) => epochMs(state?.running?.startedAt) ?? []);
      return starts.length === 0 ? null : Math.max(...starts);
    }
    case 'ImagePulling':
      return transition('PodReadyToStartContainers') ?? transition('PodScheduled');
    case 'Scheduled':
      return transition('PodScheduled');
    case 'Pending':
      return epochMs(pod.metadata.creationTimestamp);
  }
}
