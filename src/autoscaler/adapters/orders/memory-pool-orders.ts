import type { Clock } from '../../../core/clock.ts';
import type { PoolKey } from '../../../core/objects.ts';
import { NO_ORDER, type PoolOrder, type PoolOrders } from '../../../core/pool-orders.ts';
import { inForce, isOrder } from '../../policy/order-rules.ts';
import { checkedChange, OrderListeners } from './checked.ts';

/** Orders that only this process sees and that end with it. */
export class MemoryPoolOrders implements PoolOrders {
  readonly #clock: Clock;
  readonly #orders = new Map<PoolKey, PoolOrder>();
  readonly #listeners = new OrderListeners();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  of(pool: PoolKey): PoolOrder {
    const order = this.#orders.get(pool);
    if (order === undefined) return NO_ORDER;
    const left = inForce(order, this.#clock.epochMs());
    return isOrder(left) ? left : NO_ORDER;
  }

  set(pool: PoolKey, change: Partial<PoolOrder>): Promise<void> {
    return Promise.resolve().then(() => {
      const order = { ...this.of(pool), ...checkedChange(change, this.#clock.epochMs()) };
      if (isOrder(order)) this.#orders.set(pool, order);
      else this.#orders.delete(pool);
      this.#listeners.tell(pool);
    });
  }

  onChange(listener: (pool: PoolKey) => void): () => void {
    return this.#listeners.add(listener);
  }
}
