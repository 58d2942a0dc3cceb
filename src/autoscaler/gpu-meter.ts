import type { PoolKey, PoolSpec } from '../core/objects.ts';
import type { AutoscalerMetrics } from './metrics.ts';
import { type AccountedReplica, chargeGpus, type GpuAccount, newGpuAccount } from './policy/gpu-account.ts';
import type { Snapshot } from './policy/snapshot.ts';

/** GPU time of a pool against what it would have used without scaling. */
export interface GpuUse {
  readonly elapsedMs: number;
  readonly loadingGpuS: number;
  readonly readyIdleGpuS: number;
  readonly readyBusyGpuS: number;
  readonly usedGpuS: number;
  /** Every allowed replica of every target up all the time. */
  readonly alwaysOnGpuS: number;
  readonly costUsd: number;
  readonly alwaysOnCostUsd: number;
  readonly peakReplicas: number;
}

/** Keeps the account of one pool and its counters. */
export class GpuMeter {
  readonly #pool: PoolKey;
  readonly #metrics: AutoscalerMetrics;
  #account: GpuAccount;
  #running: readonly AccountedReplica[] = [];

  constructor(pool: PoolKey, metrics: AutoscalerMetrics, nowMs: number) {
    this.#pool = pool;
    this.#metrics = metrics;
    this.#account = newGpuAccount(nowMs);
  }

  /** Charges the time since the last look to the replicas that were seen then. */
  charge(snapshot: Snapshot): void {
    const before = this.#account;
    this.#account = chargeGpus(before, this.#running, snapshot.nowMs);
    this.#count(before, this.#account);
    const targets = new Map(snapshot.targets.map((target) => [target.name, target]));
    this.#running = snapshot.replicas.map(({ phase, usedSlots, target }) => ({
      phase,
      usedSlots,
      gpus: targets.get(target)?.gpusPerReplica ?? 0,
      pricePerGpuHour: targets.get(target)?.pricePerGpuHour ?? 0,
    }));
  }

  use(pool: PoolSpec, nowMs: number): GpuUse {
    const account = chargeGpus(this.#account, this.#running, nowMs);
    const elapsedMs = nowMs - account.sinceMs;
    const all = pool.targets.map((target) => ({
      gpus: target.gpusPerReplica * target.maxReplicas,
      pricePerGpuHour: target.pricePerGpuHour,
      phase: 'Ready' as const,
      usedSlots: 0,
    }));
    const alwaysOn = chargeGpus(newGpuAccount(account.sinceMs), all, nowMs);
    const { loadingGpuMs, readyIdleGpuMs, readyBusyGpuMs } = account;
    return {
      elapsedMs,
      loadingGpuS: loadingGpuMs / 1_000,
      readyIdleGpuS: readyIdleGpuMs / 1_000,
      readyBusyGpuS: readyBusyGpuMs / 1_000,
      usedGpuS: (loadingGpuMs + readyIdleGpuMs + readyBusyGpuMs) / 1_000,
      alwaysOnGpuS: alwaysOn.readyIdleGpuMs / 1_000,
      costUsd: account.costUsd,
      alwaysOnCostUsd: alwaysOn.costUsd,
      peakReplicas: account.peakReplicas,
    };
  }

  #count(before: GpuAccount, after: GpuAccount): void {
    const pool = this.#pool;
    const { gpuSecondsTotal, costUsdTotal } = this.#metrics;
    gpuSecondsTotal.inc({ pool, use: 'loading' }, (after.loadingGpuMs - before.loadingGpuMs) / 1_000);
    gpuSecondsTotal.inc({ pool, use: 'idle' }, (after.readyIdleGpuMs - before.readyIdleGpuMs) / 1_000);
    gpuSecondsTotal.inc({ pool, use: 'busy' }, (after.readyBusyGpuMs - before.readyBusyGpuMs) / 1_000);
    costUsdTotal.inc({ pool }, after.costUsd - before.costUsd);
  }
}
