import { type DeadlineDeps, expireOverdue } from './deadline-sweep.ts';
import type { JobMeter } from './job-meter.ts';
import { type Periodic, runPeriodically } from './periodic.ts';
import type { JobLane } from './ports.ts';

export interface PoolSweepDeps extends DeadlineDeps {
  readonly meter: JobMeter;
}

/** What the intake of the pool knows. */
export interface HeldJobs {
  readonly held: number;
  objectives(): readonly string[];
}

const DEADLINE_EVERY_MS = 1_000;
/** Together with the backlog's lock it bounds how long a dead process's jobs are away. */
const STALL_EVERY_MS = 2_000;
const OBJECTIVES_EVERY_MS = 30_000;

/** Ends overdue jobs of a pool and brings back what dead processes held. Resolves when aborted. */
export async function sweepPool(
  deps: PoolSweepDeps,
  lane: JobLane,
  intake: HeldJobs,
  signal: AbortSignal,
): Promise<void> {
  const deadlines: Periodic = {
    name: 'deadline.sweep',
    everyMs: DEADLINE_EVERY_MS,
    run: () => expireOverdue(deps, lane),
  };
  await Promise.all([deadlines, stallPass(deps, lane, intake)].map((loop) => runPeriodically(deps, loop, signal)));
}

/**
 * Only a running Worker recovers orphaned jobs by itself, and while a pool sleeps none runs; asking directly costs
 * one script per objective and needs no Worker.
 */
function stallPass({ clock, log, meter }: PoolSweepDeps, lane: JobLane, intake: HeldJobs): Periodic {
  const { backlog, ledger } = lane;
  let known: readonly string[] = [];
  let askedAtMs = Number.NEGATIVE_INFINITY;
  const run = async (): Promise<boolean> => {
    meter.held(ledger.pool, intake.held);
    if (clock.monotonicMs() - askedAtMs >= OBJECTIVES_EVERY_MS) {
      known = await backlog.objectives();
      askedAtMs = clock.monotonicMs();
    }
    for (const objective of new Set([...known, ...intake.objectives()])) {
      const ids = await backlog.recoverStalled(objective);
      if (ids.length === 0) continue;
      meter.recovered(ledger.pool, ids.length);
      log.warn({ pool: ledger.pool, objective, jobs: ids.length }, 'jobs.recovered');
      await forgetEnded(lane, objective, ids);
    }
    return false;
  };
  return { name: 'stall.sweep', everyMs: STALL_EVERY_MS, run };
}

/**
 * One that lost its lock and then got its outcome comes back like the others. It is no demand any more, so no intake need
 * open for it, and it would wait until another job comes.
 */
async function forgetEnded({ backlog, ledger }: JobLane, objective: string, ids: readonly string[]): Promise<void> {
  const outcomes = await ledger.outcomes(ids);
  for (const [index, id] of ids.entries()) if (outcomes[index]) await backlog.remove(id, objective);
}
