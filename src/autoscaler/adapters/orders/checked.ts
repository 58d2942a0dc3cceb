import { PilotlightError } from '../../../core/errors.ts';
import type { PoolKey } from '../../../core/objects.ts';
import type { PoolOrder } from '../../../core/pool-orders.ts';
import { checkChange } from '../../policy/order-rules.ts';

/** The change as it is stored. Throws `invalid_value` with field, value and limit. */
export function checkedChange(change: Partial<PoolOrder>, nowEpochMs: number): Partial<PoolOrder> {
  const checked = checkChange(change, nowEpochMs);
  if (!checked.ok) throw new PilotlightError('invalid_value', `${checked.problem}.`, { param: checked.field });
  return checked.change;
}

/** Listeners for changed orders. */
export class OrderListeners {
  readonly #listeners = new Set<(pool: PoolKey) => void>();

  add(listener: (pool: PoolKey) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell(pool: PoolKey): void {
    for (const listener of this.#listeners) listener(pool);
  }
}
