/** Crashes after which a job is quarantined: its outcome is `attempts_exhausted`. */
export const MAX_CRASHES = 3;
/** From this many on a job is a suspect: the processes that held it kept dying. */
const SUSPECT_CRASHES = MAX_CRASHES - 1;
const SUSPECT_DELAY_MS = 1_000;

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 10_000;
/** Doublings beyond which the delay is at its longest. */
const MAX_DOUBLINGS = 5;

export type ClaimDecision =
  | { readonly kind: 'run'; readonly isSuspect: boolean }
  | { readonly kind: 'return' }
  | { readonly kind: 'delay'; readonly delayMs: number }
  | { readonly kind: 'quarantine' };

export interface ClaimFacts {
  /** Processes that died, or lost their lock, while they held this job. */
  readonly crashes: number;
  /** Suspects that this process runs already. */
  readonly suspectsRunning: number;
  readonly isIntakeOpen: boolean;
}

/**
 * What to do with a claimed job. A dying process takes innocent jobs with it, so after two crashes a job runs only
 * while no other suspect does: the third crash then names the culprit.
 */
export function decideClaim({ crashes, suspectsRunning, isIntakeOpen }: ClaimFacts): ClaimDecision {
  if (!isIntakeOpen) return { kind: 'return' };
  if (crashes >= MAX_CRASHES) return { kind: 'quarantine' };
  const isSuspect = crashes >= SUSPECT_CRASHES;
  if (isSuspect && suspectsRunning > 0) return { kind: 'delay', delayMs: SUSPECT_DELAY_MS };
  return { kind: 'run', isSuspect };
}

/** How long a job stays away after it was handed back while the intake is open: 0.5 s, doubling with each claim, at most 10 s. */
export function handBackDelayMs(claims: number): number {
  return Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(Math.max(0, claims - 1), MAX_DOUBLINGS));
}
