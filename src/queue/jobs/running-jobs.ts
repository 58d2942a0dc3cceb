import type { ClaimVerdict } from '../backlog/ports.ts';

interface Run {
  readonly controller: AbortController;
  readonly verdict: Promise<ClaimVerdict>;
}

/** The jobs that this process executes now. Bounded by the intake's windows. */
export class RunningJobs {
  readonly #runs = new Map<string, Run>();
  #suspects = 0;

  get count(): number {
    return this.#runs.size;
  }

  get suspects(): number {
    return this.#suspects;
  }

  /**
   * Runs the job; a second claim of the same id, after its lock was lost, attaches to the first one's end instead of
   * running it twice. `execute` must not throw.
   */
  async run(
    id: string,
    isSuspect: boolean,
    execute: (signal: AbortSignal) => Promise<ClaimVerdict>,
  ): Promise<ClaimVerdict> {
    const known = this.#runs.get(id);
    if (known) return known.verdict;
    const controller = new AbortController();
    if (isSuspect) this.#suspects += 1;
    const verdict = execute(controller.signal).finally(() => {
      this.#runs.delete(id);
      if (isSuspect) this.#suspects -= 1;
    });
    this.#runs.set(id, { controller, verdict });
    return verdict;
  }

  /** Stops the job's execution at once, if it is here. */
  abort(id: string, reason: Error): void {
    this.#runs.get(id)?.controller.abort(reason);
  }

  abortAll(reason: Error): void {
    for (const run of this.#runs.values()) run.controller.abort(reason);
  }
}
