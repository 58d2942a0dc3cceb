import type { Clock } from '../../../core/clock.ts';
import { asError } from '../../../core/errors.ts';
import { KubeApiError } from '../../../core/kubernetes.ts';

const FIRST_WAIT_MS = 2_000;
const LONGEST_WAIT_MS = 60_000;
/** What nobody has asked for in this time after it might have been, nobody needs. */
const FORGET_AFTER_MS = 600_000;

/** A right as RBAC can give it: in one namespace, and there for all objects or for one by name. */
export interface Right {
  /** "patch deployments/scale" */
  readonly what: string;
  readonly namespace: string;
  /** Null = for every object of that kind. */
  readonly name: string | null;
}

interface Denial extends Right {
  readonly message: string;
  readonly waitMs: number;
  readonly untilMs: number;
}

/**
 * Rights that the API server refused, each asked for again after 2, 4 … 60 s. What is refused for one object says nothing
 * of another one: Roles name workloads.
 */
export class Denials {
  readonly #clock: Clock;
  readonly #denied = new Map<string, Denial>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs `work`, which needs that right. Throws what it throws. */
  async ask<T>(right: Right, work: () => Promise<T>): Promise<T> {
    const key = JSON.stringify([right.what, right.namespace, right.name]);
    const known = this.#denied.get(key);
    if (known !== undefined && this.#clock.monotonicMs() < known.untilMs) {
      throw new KubeApiError(known.message, { status: 403, reason: 'Forbidden' });
    }
    try {
      const result = await work();
      this.#denied.delete(key);
      return result;
    } catch (thrown) {
      if (thrown instanceof KubeApiError && thrown.status === 403) this.#refused(key, right, thrown);
      else this.#denied.delete(key);
      throw thrown;
    }
  }

  /** Rights that are missing for that workload and for all objects of its namespace, in one sentence; null = none. */
  why(namespace: string, name: string): string | null {
    const missing = this.#of(namespace, name);
    if (missing.length === 0) return null;
    const names = [...new Set(missing.map(({ what }) => what))].sort().join(', ');
    const [said = ''] = missing.map(({ message }) => message);
    return `not allowed: ${names}; add the verbs to the Role of the controller (${said})`;
  }

  /** Whether one of those rights is called like that, and it is not yet time to ask again. */
  matches(namespace: string, name: string, pattern: RegExp): boolean {
    const nowMs = this.#clock.monotonicMs();
    return this.#of(namespace, name).some(({ what, untilMs }) => pattern.test(what) && nowMs < untilMs);
  }

  #of(namespace: string, name: string): readonly Denial[] {
    return [...this.#denied.values()].filter(
      (denial) => denial.namespace === namespace && (denial.name === null || denial.name === name),
    );
  }

  #refused(key: string, right: Right, error: KubeApiError): void {
    const nowMs = this.#clock.monotonicMs();
    const waitMs = Math.min(LONGEST_WAIT_MS, (this.#denied.get(key)?.waitMs ?? FIRST_WAIT_MS / 2) * 2);
    for (const [other, { untilMs }] of this.#denied) {
      if (nowMs - untilMs > FORGET_AFTER_MS) this.#denied.delete(other);
    }
    this.#denied.set(key, { ...right, message: asError(error).message, waitMs, untilMs: nowMs + waitMs });
  }
}
