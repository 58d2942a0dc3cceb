import type { ClaimVerdict } from '../backlog/ports.ts';

interface Run {
  readonly controller: AbortController;
  readonly isSuspect: boolean;
  readonly verdict: Promise<ClaimVerdict>;
}

/** The jobs that this process executes now. Bounded by the intake's windows. */
export class RunningJobs {
  readonly #runs = new Map<string, Run>();

  get count(): number {
    return this.#runs.size;
  }

  get suspects(): number {
    let suspects = 0;
    for (const run of this.#runs.values()) if (run.isSuspect) suspects += 1;
    return suspects;
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
    const verdict = execute(controller.signal).finally(() => this.#runs.delete(id));
    this.#runs.set(id, { controller, isSuspect, verdict });
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
