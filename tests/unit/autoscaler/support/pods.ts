import type { Gate } from '../../../../src/core/live-order.ts';
import type { ScaleTarget } from '../../../../src/core/objects.ts';
import type { BootTrouble, WarmUpPhase } from '../../../../src/core/replicas.ts';

export interface Request {
  readonly objective: string;
  readonly arrivedMs: number;
  readonly workMs: number;
}

export interface Pod {
  uid: string;
  readonly ordinal: number;
  readonly target: ScaleTarget;
  readonly templateHash: string;
  readonly requestedMs: number;
  phase: WarmUpPhase;
  phaseSinceMs: number;
  terminating: boolean;
  goneAtMs: number;
  message: string | null;
  trouble: BootTrouble | null;
  gate: Gate;
  running: { readonly request: Request; readonly endsAtMs: number }[];
}

export interface Totals {
  arrived: number;
  released: number;
  slotMs: number;
}

export const UNSCHEDULABLE: BootTrouble = {
  kind: 'Unschedulable',
  message: '0/3 nodes are available: 3 Insufficient nvidia.com/gpu',
  permanent: false,
  blocksOrders: true,
};

export function isServing(pod: Pod): boolean {
  return !pod.terminating && (pod.phase === 'Ready' || pod.phase === 'Draining');
}

export function slotsOf(pod: Pod): number {
  return pod.target.slotsPerEndpoint === 'Auto' ? 32 : pod.target.slotsPerEndpoint;
}

export function freeSlots(pod: Pod): number {
  return isServing(pod) && pod.phase === 'Ready' && pod.gate === 'open' ? slotsOf(pod) - pod.running.length : 0;
}

export function templateHash(target: ScaleTarget): string {
  return (target.process?.command ?? []).join(' ');
}
