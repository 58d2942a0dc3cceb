import type { Clock } from '../core/clock.ts';
import { asError } from '../core/errors.ts';
import type { ObjectiveRules, OrderControl } from '../core/live-order.ts';
import type { Logger } from '../core/logger.ts';
import type { PoolKey } from '../core/objects.ts';

const RETRY_MS = 1_000;

/** Tells the live order of each pool the rules of its objectives, when they change, until it has heard them. */
export class RulesTeller {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #closing = new AbortController();
  /** What was told last, or is being told. */
  readonly #told = new Map<PoolKey, string>();

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Returns at once. The ledger keeps rules; its client repeats them to one that has lost them. */
  tell(order: Pick<OrderControl, 'pool' | 'setRules'>, rules: readonly ObjectiveRules[]): void {
    const text = JSON.stringify(rules);
    if (this.#told.get(order.pool) === text) return;
    this.#told.set(order.pool, text);
    void this.#untilHeard(order, rules, text);
  }

  close(): void {
    this.#closing.abort();
  }

  async #untilHeard(
    order: Pick<OrderControl, 'pool' | 'setRules'>,
    rules: readonly ObjectiveRules[],
    text: string,
  ): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted && this.#told.get(order.pool) === text) {
      try {
        await order.setRules(rules);
        return;
      } catch (thrown) {
        this.#log.warn({ pool: order.pool, problem: asError(thrown).message }, 'order.rules_not_heard');
      }
      await this.#clock.sleep(RETRY_MS, signal).catch(() => undefined);
    }
  }
}
