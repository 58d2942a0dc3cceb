import type { PoolOrder } from '../../core/pool-orders.ts';
import { formatDuration } from '../../core/units.ts';

/** What people have ordered, as one decision sees it: the orders in force, with what is left of them. */
export interface PeopleOrders {
  /** At least so many replicas for `wakeLeftMs` more; 0 = no such order. */
  readonly wakeReplicas: number;
  readonly wakeLeftMs: number | null;
  /** The pool is emptied and stays empty for so long; null = no such order. Wins over a wake. */
  readonly drainLeftMs: number | null;
  readonly paused: boolean;
  readonly by: string | null;
}

export const noPeopleOrders: PeopleOrders = {
  wakeReplicas: 0,
  wakeLeftMs: null,
  drainLeftMs: null,
  paused: false,
  by: null,
};

/** The orders in force at that time. */
export function peopleOrders(order: PoolOrder, nowEpochMs: number): PeopleOrders {
  const left = (untilEpochMs: number | null): number | null =>
    untilEpochMs === null || untilEpochMs <= nowEpochMs ? null : untilEpochMs - nowEpochMs;
  const drainLeftMs = left(order.drainUntilEpochMs);
  const wakeLeftMs = drainLeftMs === null ? left(order.wakeUntilEpochMs) : null;
  return {
    wakeReplicas: wakeLeftMs === null ? 0 : Math.max(0, order.wakeReplicas),
    wakeLeftMs,
    drainLeftMs,
    paused: order.paused,
    by: order.by,
  };
}

/** One sentence for each order in force. */
export function orderSentences(orders: PeopleOrders): readonly string[] {
  const sentences: string[] = [];
  if (orders.paused) sentences.push(`paused${byWhom(orders)}: replicas stay as they are`);
  if (orders.drainLeftMs !== null) sentences.push(drainedWords(orders, orders.drainLeftMs));
  if (orders.wakeLeftMs !== null && orders.wakeReplicas > 0) sentences.push(wokenWords(orders, orders.wakeLeftMs));
  return sentences;
}

export function drainedWords(orders: PeopleOrders, leftMs: number): string {
  return `drained${byWhom(orders)} for ${formatDuration(leftMs)} more`;
}

export function wokenWords(orders: PeopleOrders, leftMs: number): string {
  return `at least ${orders.wakeReplicas} kept awake${byWhom(orders)} for ${formatDuration(leftMs)} more`;
}

function byWhom({ by }: PeopleOrders): string {
  return by === null ? '' : ` by ${by}`;
}
