import type { WakeRule } from './activation.ts';
import type { ResolvedSettings } from './settings.ts';

/** The rule that decided; also a metric label, so the list is closed. */
export type Rule =
  | WakeRule
  | 'min'
  | 'manual'
  | 'drained'
  | 'max'
  | 'rate'
  | 'backlog'
  | 'deadline'
  | 'steady'
  | 'scale-down'
  | 'idle'
  | 'asleep'
  | 'abandoned-boot'
  | 'no-capacity'
  | 'paused'
  | 'hold';

/** Pods that each rule asks for, what bounds them, and the settings as they were resolved. */
export interface Components extends ResolvedSettings {
  readonly live: number;
  readonly rate: number;
  /** As `rate`, over the longer window that a step down has to respect. */
  readonly rateToFall: number;
  readonly backlog: number;
  readonly deadline: number;
  /** Deadlines that no pod could meet any more. */
  readonly infeasibleDeadlines: number;
  readonly min: number;
  /** Kept awake by people. */
  readonly manual: number;
  readonly max: number;
  /** All of the above together, before step limits and windows. */
  readonly wanted: number;
  readonly wantedToFall: number;
  /** Batched requests that pay for a boot; null = no number of them does. */
  readonly breakEvenRequests: number | null;
}

export interface Decision {
  readonly rule: Rule;
  /** One sentence for people: what, and why. */
  readonly sentence: string;
  /** Ready and booting replicas each target should have now. */
  readonly desired: Readonly<Record<string, number>>;
  /** Close the pool if nothing came in meanwhile, and end every replica. */
  readonly toZero: boolean;
  /** Booting replicas to give up. */
  readonly abandon: readonly string[];
  /** Work that may not extend keep-warm is owed the pool until it is done. */
  readonly guestsOwed: boolean;
  readonly components: Components;
  /** What would change this decision, one sentence each. */
  readonly wouldChange: readonly string[];
  /** Look again after this at the latest. */
  readonly reviewInMs: number;
}

export function desiredTotal(decision: Decision): number {
  return Object.values(decision.desired).reduce((sum, count) => sum + count, 0);
}
