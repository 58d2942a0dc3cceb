import { type Decision, desiredTotal } from './policy/decision.ts';
import type { Snapshot } from './policy/snapshot.ts';

/** One decision with everything it saw. Equal ones in a row are one record. */
export interface DecisionRecord {
  readonly atEpochMs: number;
  readonly lastAtEpochMs: number;
  readonly times: number;
  readonly decision: Decision;
  readonly snapshot: Snapshot;
  /** False when it was only reported: mode Observe, or nothing to do. */
  readonly acted: boolean;
}

const KEPT = 50;

/** The last 50 different decisions of one pool, oldest first. */
export class DecisionLog {
  #records: readonly DecisionRecord[] = [];
  #lastStep: DecisionRecord | undefined;

  get records(): readonly DecisionRecord[] {
    return this.#records;
  }

  get last(): DecisionRecord | undefined {
    return this.#records.at(-1);
  }

  /** The latest that wanted another number of replicas than there were. */
  get lastStep(): DecisionRecord | undefined {
    return this.#lastStep;
  }

  /** Returns true when it differs from the one before. */
  add(decision: Decision, snapshot: Snapshot, acted: boolean, atEpochMs: number): boolean {
    const last = this.last;
    if (last !== undefined && !acted && isSame(last.decision, decision)) {
      const repeated = { ...last, decision, snapshot, times: last.times + 1, lastAtEpochMs: atEpochMs };
      this.#records = [...this.#records.slice(0, -1), repeated];
      return false;
    }
    const record = { atEpochMs, lastAtEpochMs: atEpochMs, times: 1, decision, snapshot, acted };
    this.#records = [...this.#records, record].slice(-KEPT);
    if (decision.toZero || desiredTotal(decision) !== decision.components.live) this.#lastStep = record;
    return true;
  }
}

function isSame(a: Decision, b: Decision): boolean {
  const targets = Object.keys({ ...a.desired, ...b.desired });
  return a.rule === b.rule && targets.every((name) => a.desired[name] === b.desired[name]);
}
