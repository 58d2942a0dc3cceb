import type { StoredLedger } from '../../core/live-order.ts';
import type { Backlog, Claim, ClaimVerdict, IntakeQueue } from './ports.ts';

export interface IntakeDeps {
  readonly ledger: Pick<StoredLedger, 'windows' | 'onWindows'>;
  readonly backlog: Pick<Backlog, 'intake'>;
  readonly process: (claim: Claim, isIntakeOpen: () => boolean) => Promise<ClaimVerdict>;
  /** The objective's window is 0 now: jobs that were claimed and only wait should come back. */
  readonly onClosed: (objective: string) => void;
}

/**
 * Takes stored work of one pool out of the backlog while slots are or soon will be there.
 *
 * | state   | windows                                  | leaves by                    |
 * | ------- | ---------------------------------------- | ---------------------------- |
 * | held    | all 0: nothing is claimed                | `release` → open             |
 * | open    | as the ledger gives them, per objective  | `hold` → held                |
 * | stopped | all 0, for good                          | –                            |
 *
 * Starts held. An objective needs no registration: its first window opens its intake.
 */
export class Intake {
  readonly #deps: IntakeDeps;
  readonly #queues = new Map<string, IntakeQueue>();
  readonly #open = new Map<string, number>();
  readonly #stopListening: () => void;
  #isHeld = true;
  #isStopped = false;

  constructor(deps: IntakeDeps) {
    this.#deps = deps;
    this.#stopListening = deps.ledger.onWindows(() => this.#apply());
  }

  /** Jobs in the hands of this process. */
  get held(): number {
    let held = 0;
    for (const queue of this.#queues.values()) held += queue.held;
    return held;
  }

  objectives(): readonly string[] {
    return [...this.#queues.keys()];
  }

  /** Claims nothing more until `release`. */
  hold(): void {
    this.#isHeld = true;
    this.#apply();
  }

  release(): void {
    this.#isHeld = false;
    this.#apply();
  }

  /** Closes every queue and waits for what is held; abort the running jobs to make that short. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#stopListening();
    this.#apply();
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()));
  }

  #apply(): void {
    const windows = this.#isStopped || this.#isHeld ? new Map<string, number>() : this.#deps.ledger.windows();
    for (const [objective, window] of windows) if (window > 0) this.#setWindow(objective, window);
    for (const objective of this.#open.keys()) {
      if ((windows.get(objective) ?? 0) === 0) this.#setWindow(objective, 0);
    }
  }

  #setWindow(objective: string, window: number): void {
    if (window === 0) this.#open.delete(objective);
    else this.#open.set(objective, window);
    this.#queueOf(objective).setWindow(window);
    if (window === 0) this.#deps.onClosed(objective);
  }

  #queueOf(objective: string): IntakeQueue {
    const known = this.#queues.get(objective);
    if (known) return known;
    const isOpen = (): boolean => this.#open.has(objective);
    const queue = this.#deps.backlog.intake(objective, (claim) => this.#deps.process(claim, isOpen));
    this.#queues.set(objective, queue);
    return queue;
  }
}
