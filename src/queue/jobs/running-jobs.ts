import type { PoolKey } from '../../core/objects.ts';
import type { ClaimVerdict } from '../backlog/ports.ts';

export interface RunKey {
  readonly id: string;
  readonly pool: PoolKey;
  readonly objective: string;
  readonly isSuspect: boolean;
}

export type RunJob = (stop: AbortController, onSlot: () => void) => Promise<ClaimVerdict>;

interface Run {
  readonly key: RunKey;
  readonly controller: AbortController;
  readonly verdict: Promise<ClaimVerdict>;
}

/** The jobs that this process executes now. Bounded by the intake's windows. */
export class RunningJobs {
  readonly #runs = new Map<string, Run>();
  readonly #withSlot = new Set<string>();
  #suspects = 0;

  /** Jobs under suspicion of ending their process that run here. */
  get suspects(): number {
    return this.#suspects;
  }

  /**
   * Runs the job; a second claim of the same id, after its lock was lost, attaches to the first one's end instead of
   * running it twice. `execute` must not throw.
   */
  run(key: RunKey, execute: RunJob): Promise<ClaimVerdict> {
    const known = this.#runs.get(key.id);
    if (known) return known.verdict;
    const controller = new AbortController();
    const verdict = this.#untilEnd(key, controller, execute);
    this.#runs.set(key.id, { key, controller, verdict });
    return verdict;
  }

  /** Whether the job is here and has no slot yet. */
  isWaiting(id: string): boolean {
    return this.#runs.has(id) && !this.#withSlot.has(id);
  }

  /** Stops the job's execution at once, if it is here. */
  abort(id: string, reason: Error): void {
    this.#runs.get(id)?.controller.abort(reason);
  }

  /** Stops the jobs of an objective that have no slot yet: they only wait, and can do so in the backlog. */
  abortWaiting(pool: PoolKey, objective: string, reason: Error): void {
    for (const { key, controller } of this.#runs.values()) {
      if (key.pool === pool && key.objective === objective && !this.#withSlot.has(key.id)) controller.abort(reason);
    }
  }

  abortAll(reason: Error): void {
    for (const { controller } of this.#runs.values()) controller.abort(reason);
  }

  async #untilEnd({ id, isSuspect }: RunKey, stop: AbortController, execute: RunJob): Promise<ClaimVerdict> {
    if (isSuspect) this.#suspects += 1;
    try {
      return await execute(stop, () => this.#withSlot.add(id));
    } finally {
      this.#runs.delete(id);
      this.#withSlot.delete(id);
      if (isSuspect) this.#suspects -= 1;
    }
  }
}
