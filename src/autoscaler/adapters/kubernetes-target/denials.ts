import type { Clock } from '../../../core/clock.ts';
import { asError } from '../../../core/errors.ts';
import { KubeApiError } from '../../../core/kubernetes.ts';

const FIRST_WAIT_MS = 2_000;
const LONGEST_WAIT_MS = 60_000;

interface Denial {
  readonly message: string;
  readonly waitMs: number;
  readonly untilMs: number;
}

/** Rights that the API server refused, each asked for again after 2, 4 … 60 s. */
export class Denials {
  readonly #clock: Clock;
  readonly #denied = new Map<string, Denial>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs `work`, which needs the right called `what` ("patch deployments/scale"). Throws what it throws. */
  async ask<T>(what: string, work: () => Promise<T>): Promise<T> {
    const known = this.#denied.get(what);
    if (known !== undefined && this.#clock.monotonicMs() < known.untilMs) {
      throw new KubeApiError(known.message, { status: 403, reason: 'Forbidden' });
    }
    try {
      const result = await work();
      this.#denied.delete(what);
      return result;
    } catch (thrown) {
      if (thrown instanceof KubeApiError && thrown.status === 403) this.#refused(what, thrown);
      else this.#denied.delete(what);
      throw thrown;
    }
  }

  /** Rights that are missing, in one sentence; null = none. */
  why(): string | null {
    if (this.#denied.size === 0) return null;
    const names = [...this.#denied.keys()].sort().join(', ');
    const [said = ''] = [...this.#denied.values()].map(({ message }) => message);
    return `not allowed: ${names}; add the verbs to the Role of the controller (${said})`;
  }

  /** Whether one of the rights that were refused is called like that, and it is not yet time to ask again. */
  matches(pattern: RegExp): boolean {
    const nowMs = this.#clock.monotonicMs();
    return [...this.#denied].some(([what, { untilMs }]) => pattern.test(what) && nowMs < untilMs);
  }

  #refused(what: string, error: KubeApiError): void {
    const waitMs = Math.min(LONGEST_WAIT_MS, (this.#denied.get(what)?.waitMs ?? FIRST_WAIT_MS / 2) * 2);
    const untilMs = this.#clock.monotonicMs() + waitMs;
    this.#denied.set(what, { message: asError(error).message, waitMs, untilMs });
  }
}
