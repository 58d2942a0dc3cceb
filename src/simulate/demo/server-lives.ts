import type { GpuUsage, PoolReport, StatusReport } from '../../core/status.ts';

/** What GET /status counts since a serving process started, by the start of that process: it starts anew after a kill. */
export type ServerLives = ReadonlyMap<number, PoolReport>;

/** `lives` with the newest report of the process that made it. */
export function noteLife(lives: ServerLives, report: StatusReport, pool: PoolReport): ServerLives {
  return new Map(lives).set(report.startedAtEpochMs, pool);
}

/** GPU time and money over all processes. What ran between two of them (nothing) is in neither. */
export function totalUsage(lives: ServerLives): GpuUsage {
  const usages = [...lives.values()].map(({ usage }) => usage);
  const sum = (part: (usage: GpuUsage) => number) => usages.reduce((total, usage) => total + part(usage), 0);
  return {
    loadingGpuSeconds: sum((usage) => usage.loadingGpuSeconds),
    idleGpuSeconds: sum((usage) => usage.idleGpuSeconds),
    busyGpuSeconds: sum((usage) => usage.busyGpuSeconds),
    alwaysOnGpuSeconds: sum((usage) => usage.alwaysOnGpuSeconds),
    costUsd: sum((usage) => usage.costUsd),
    alwaysOnCostUsd: sum((usage) => usage.alwaysOnCostUsd),
  };
}

export function usedGpuSeconds(usage: GpuUsage): number {
  return usage.loadingGpuSeconds + usage.idleGpuSeconds + usage.busyGpuSeconds;
}

/** Requests of one objective that the processes saw completed. */
export function completedCount(lives: ServerLives, objective: string): number {
  return [...lives.values()]
    .flatMap(({ objectives }) => objectives.filter((report) => report.objective === objective))
    .reduce((total, { outcomes }) => total + outcomes.completed, 0);
}

/** Outcomes of one objective that the processes counted, refusals left out. */
export function settledCount(lives: ServerLives, objective: string): number {
  return [...lives.values()]
    .flatMap(({ objectives }) => objectives.filter((report) => report.objective === objective))
    .reduce(
      (total, { outcomes }) => total + outcomes.completed + outcomes.failed + outcomes.cancelled + outcomes.expired,
      0,
    );
}
