import type { PodSpec } from './objects.ts';

/** A kubelet's: the first restart is at once, then 10 s, doubling to 5 min; ten good minutes begin anew. */
const FIRST_MS = 10_000;
const LONGEST_IN_FIRSTS = 30;
const FORGOTTEN_IN_FIRSTS = 60;

/** Before the restart after `crashes` crashes in a row; `firstMs` replaces the 10 s and scales the rest. */
export function restartDelayMs(crashes: number, firstMs: number | null): number {
  const unitMs = firstMs ?? FIRST_MS;
  return crashes <= 1 ? 0 : Math.min(unitMs * 2 ** (crashes - 2), unitMs * LONGEST_IN_FIRSTS);
}

/** Whether a container that ran so long has proved itself. */
export function isForgiven(ranMs: number, firstMs: number | null): boolean {
  return ranMs >= (firstMs ?? FIRST_MS) * FORGOTTEN_IN_FIRSTS;
}

/** Before the next try to pull: 10 s, doubling to 5 min. */
export function pullDelayMs(failures: number, firstMs: number | null): number {
  return restartDelayMs(failures + 1, firstMs);
}

export function isRestarted(policy: PodSpec['restartPolicy'], exitCode: number): boolean {
  if (policy === 'Never') return false;
  return policy !== 'OnFailure' || exitCode !== 0;
}
