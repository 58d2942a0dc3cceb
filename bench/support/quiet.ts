import { cpus } from 'node:os';

/** CPU time of the whole machine: what it had and what it used. */
interface MachineMs {
  readonly allMs: number;
  readonly busyMs: number;
}

const LOOK_MS = 250;
/** Everybody else may take this share of the machine while it counts as quiet. */
export const QUIET_RATIO = 0.1;

export function machineCpu(): MachineMs {
  let allMs = 0;
  let idleMs = 0;
  for (const { times } of cpus()) {
    allMs += times.user + times.nice + times.sys + times.irq + times.idle;
    idleMs += times.idle;
  }
  return { allMs, busyMs: allMs - idleMs };
}

/** Share of the machine that was used since `before`, less what is known to be our own. 0..1 */
export function foreignRatio(before: MachineMs, ownMs: number): number {
  const now = machineCpu();
  const allMs = now.allMs - before.allMs;
  return allMs === 0 ? 0 : Math.max(0, (now.busyMs - before.busyMs - ownMs) / allMs);
}

/** Resolves as soon as nobody else seems to work on this machine, or after `patienceMs`. */
export async function whenQuiet(patienceMs: number): Promise<void> {
  const deadlineMs = performance.now() + patienceMs;
  while (performance.now() < deadlineMs) {
    const before = machineCpu();
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    if (foreignRatio(before, 0) < QUIET_RATIO) return;
  }
}
