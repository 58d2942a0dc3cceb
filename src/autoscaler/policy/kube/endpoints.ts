import type { Endpoint } from '../../../core/endpoint.ts';
import { KUBE_MARKS } from '../../../core/kubernetes.ts';
import type { PodSelection, PoolSpec } from '../../../core/objects.ts';
import { isFinished, isReady, isTerminating, isTrue, type Pod, readySinceEpochMs, uidOf } from './pod.ts';

/** Of the llm-d router and its predecessor: a comma list of those targetPorts that are live in that pod. */
const ACTIVE_PORTS = ['llm-d.ai/active-ports', 'inference.networking.k8s.io/active-ports'] as const;

/**
 * How a pod takes requests. `serving`: new ones too · `leaving`: those that run may end, nothing new · `none`: it has no
 * address that could answer.
 */
export type PodService = 'serving' | 'leaving' | 'none';

/**
 * A pod that was ready keeps its endpoints, closed for new requests, for as long as its containers may still answer: a
 * pod that flaps, drains or terminates must not lose the requests that run there.
 */
export function podService(pod: Pod, wasReady: boolean): PodService {
  if (hasEnded(pod) || !(isReady(pod) || wasReady)) return 'none';
  return isReady(pod) && !isLeaving(pod) ? 'serving' : 'leaving';
}

/** It is told to go: by us, by whoever deleted it, or by an eviction. */
export function isLeaving(pod: Pod): boolean {
  return isTerminating(pod) || hasDrainMark(pod) || isTrue(pod, 'DisruptionTarget');
}

export function hasDrainMark(pod: Pod): boolean {
  return pod.metadata.annotations?.[KUBE_MARKS.drain] !== undefined;
}

/** None of its containers runs any more, so nothing in flight there can end well. */
export function hasEnded(pod: Pod): boolean {
  const containers = pod.status?.containerStatuses ?? [];
  return (
    isFinished(pod) ||
    (pod.status?.podIP ?? '') === '' ||
    (containers.length > 0 && containers.every(({ state }) => state?.running === undefined))
  );
}

/** The ports of `pods` that are live in this pod. An annotation that names none of them leaves none. */
export function activePorts(pod: Pod, pods: PodSelection): readonly number[] {
  const name = ACTIVE_PORTS.find((candidate) => pod.metadata.annotations?.[candidate] !== undefined);
  if (name === undefined) return pods.ports;
  const active = new Set((pod.metadata.annotations?.[name] ?? '').split(',').map((port) => Number(port.trim())));
  return pods.ports.filter((port) => active.has(port));
}

/** "<podUid>@<ip:port>"; an IPv6 address stands in brackets. */
export function endpointId(uid: string, ip: string, port: number): string {
  return `${uid}@${hostOf(ip)}:${port}`;
}

/**
 * The pod's endpoints in that pool; none unless it serves or what it served may still run. `lastReadyAtEpochMs`: since
 * when it was ready when it was last seen so; null = never.
 */
export function podEndpoints(
  pod: Pod,
  pool: PoolSpec,
  target: string,
  lastReadyAtEpochMs: number | null,
): readonly Endpoint[] {
  const service = podService(pod, lastReadyAtEpochMs !== null);
  if (service === 'none' || pool.pods === null) return [];
  const ip = pod.status?.podIP ?? '';
  const slots = pool.targets.find(({ name }) => name === target)?.slotsPerEndpoint ?? 'Auto';
  return activePorts(pod, pool.pods).map((port) => ({
    id: endpointId(uidOf(pod), ip, port),
    pool: pool.key,
    url: `http://${hostOf(ip)}:${port}`,
    target,
    slotsPerEndpoint: slots,
    readyAtEpochMs: readySinceEpochMs(pod) ?? lastReadyAtEpochMs ?? 0,
    draining: service === 'leaving',
  }));
}

function hostOf(ip: string): string {
  return ip.includes(':') ? `[${ip}]` : ip;
}
