import type { KubeObject } from '../../../core/kubernetes.ts';
import { epochMs } from './pod.ts';

/** The fields of an Event (core/v1) that Pilotlight reads. */
export interface KubeEvent extends KubeObject {
  readonly involvedObject?: { readonly kind?: string; readonly name?: string; readonly uid?: string };
  readonly reason?: string;
  readonly message?: string;
  readonly type?: string;
  readonly lastTimestamp?: string | null;
  readonly eventTime?: string | null;
  readonly series?: { readonly lastObservedTime?: string } | null;
}

/** What an Event says of a pod. Events expire and may be missing: they refine what the pod's fields say, nothing more. */
export interface PodEvent {
  readonly reason: string;
  readonly message: string;
  readonly atEpochMs: number;
}

/**
 * Reasons that refine a phase or name a cause. Kubelet, scheduler, ReplicaSet and StatefulSet controllers, Cluster
 * Autoscaler (TriggeredScaleUp, NotTriggerScaleUp) and Karpenter (Nominated) write them.
 */
const REASONS: ReadonlySet<string> = new Set([
  'Pulling',
  'Pulled',
  'Failed',
  'BackOff',
  'FailedMount',
  'FailedAttachVolume',
  'FailedCreatePodSandBox',
  'FailedCreate',
  'SuccessfulCreate',
  'TriggeredScaleUp',
  'NotTriggerScaleUp',
  'Nominated',
]);

/** Null for an Event that says nothing Pilotlight uses. */
export function podEvent(event: KubeEvent): PodEvent | null {
  const { reason = '' } = event;
  if (!REASONS.has(reason)) return null;
  const { series, lastTimestamp, eventTime, metadata } = event;
  const time = series?.lastObservedTime ?? lastTimestamp ?? eventTime ?? metadata.creationTimestamp;
  return { reason, message: event.message ?? '', atEpochMs: epochMs(time) ?? 0 };
}

/** The newest event of one of these reasons. */
export function newest(events: readonly PodEvent[], ...reasons: readonly string[]): PodEvent | undefined {
  return events
    .filter(({ reason }) => reasons.includes(reason))
    .reduce<PodEvent | undefined>((best, one) => (best && best.atEpochMs > one.atEpochMs ? best : one), undefined);
}

/** A StatefulSet tries again after at most 1,000 s, and says so again. */
const CREATE_RETRY_MS = 1_200_000;

/**
 * Why a workload cannot create pods, from the Events of itself: a StatefulSet has no condition that says so. Null = its
 * last try succeeded, or was long ago.
 */
export function createFailureFrom(events: readonly PodEvent[], nowEpochMs: number): string | null {
  const last = newest(events, 'FailedCreate', 'SuccessfulCreate');
  return last?.reason === 'FailedCreate' && nowEpochMs - last.atEpochMs < CREATE_RETRY_MS ? last.message : null;
}
