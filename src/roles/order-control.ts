import type { OrderControl } from '../core/live-order.ts';

/** An order as its operators use it; null for one that cannot be listed. */
export function controlOf(order: object): OrderControl | null {
  const methods = ['list', 'find', 'setPaused', 'pausedObjectives'] as const;
  const isControl = (one: object): one is OrderControl =>
    methods.every((name) => typeof (one as Partial<OrderControl>)[name] === 'function');
  return isControl(order) ? order : null;
}
