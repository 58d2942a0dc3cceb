import type { WarmUpPhase } from '../../core/replicas.ts';

/** GPU time of one pool since its loop began, in GPU-milliseconds (replicas × GPUs each × time). */
export interface GpuAccount {
  readonly sinceMs: number;
  readonly lastMs: number;
  readonly loadingGpuMs: number;
  readonly readyIdleGpuMs: number;
  readonly readyBusyGpuMs: number;
  readonly costUsd: number;
  readonly peakReplicas: number;
}

export interface AccountedReplica {
  readonly phase: WarmUpPhase;
  readonly usedSlots: number;
  readonly gpus: number;
  readonly pricePerGpuHour: number;
}

const HOUR_MS = 3_600_000;

export function newGpuAccount(nowMs: number): GpuAccount {
  return {
    sinceMs: nowMs,
    lastMs: nowMs,
    loadingGpuMs: 0,
    readyIdleGpuMs: 0,
    readyBusyGpuMs: 0,
    costUsd: 0,
    peakReplicas: 0,
  };
}

/**
 * Charges the time since the last call to the replicas as they were in it. Every replica that exists holds its GPUs: one
 * that drains counts as ready, a stuck one as loading.
 */
export function chargeGpus(account: GpuAccount, during: readonly AccountedReplica[], nowMs: number): GpuAccount {
  const elapsedMs = Math.max(0, nowMs - account.lastMs);
  const gpuMs = (wanted: (replica: AccountedReplica) => boolean): number =>
    during.filter(wanted).reduce((sum, { gpus }) => sum + gpus * elapsedMs, 0);
  const isReady = ({ phase }: AccountedReplica): boolean => phase === 'Ready' || phase === 'Draining';
  const cost = during.reduce((sum, { gpus, pricePerGpuHour }) => sum + gpus * pricePerGpuHour, 0);
  return {
    sinceMs: account.sinceMs,
    lastMs: nowMs,
    loadingGpuMs: account.loadingGpuMs + gpuMs((replica) => !isReady(replica)),
    readyIdleGpuMs: account.readyIdleGpuMs + gpuMs((replica) => isReady(replica) && replica.usedSlots === 0),
    readyBusyGpuMs: account.readyBusyGpuMs + gpuMs((replica) => isReady(replica) && replica.usedSlots > 0),
    costUsd: account.costUsd + (cost * elapsedMs) / HOUR_MS,
    peakReplicas: Math.max(account.peakReplicas, during.length),
  };
}
