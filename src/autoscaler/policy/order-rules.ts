import type { PoolOrder } from '../../core/pool-orders.ts';
import { formatDuration } from '../../core/units.ts';

/** Longest time an order that passes by itself may be in force. */
export const LONGEST_ORDER_MS = 7 * 24 * 3_600_000;
export const MOST_WAKE_REPLICAS = 1_000;
const LONGEST_NAME_CHARS = 253;

export interface OrderProblem {
  readonly field: keyof PoolOrder;
  /** Names field, value and limit. */
  readonly problem: string;
}

export type CheckedChange =
  | { readonly ok: true; readonly change: Partial<PoolOrder> }
  | ({ readonly ok: false } & OrderProblem);

/** The change with what follows from it: a wake ends a drain order, and the other way round. Or why it is refused. */
export function checkChange(change: Partial<PoolOrder>, nowEpochMs: number): CheckedChange {
  const wakes = typeof change.wakeUntilEpochMs === 'number';
  const drains = typeof change.drainUntilEpochMs === 'number';
  const problem =
    (wakes && drains
      ? { field: 'drainUntilEpochMs' as const, problem: 'a pool is either woken or drained: order one of the two' }
      : null) ??
    untilProblem('wakeUntilEpochMs', change.wakeUntilEpochMs, nowEpochMs) ??
    untilProblem('drainUntilEpochMs', change.drainUntilEpochMs, nowEpochMs) ??
    (wakes || change.wakeReplicas !== undefined ? replicasProblem(change.wakeReplicas ?? 1, wakes) : null);
  if (problem !== null) return { ok: false, ...problem };
  return {
    ok: true,
    change: {
      ...(wakes ? { wakeReplicas: 1, drainUntilEpochMs: null } : {}),
      ...(drains ? { wakeUntilEpochMs: null, wakeReplicas: 0 } : {}),
      ...change,
      ...(change.wakeUntilEpochMs === null ? { wakeReplicas: 0 } : {}),
      ...(typeof change.by === 'string' ? { by: change.by.slice(0, LONGEST_NAME_CHARS) } : {}),
    },
  };
}

function untilProblem(
  field: 'wakeUntilEpochMs' | 'drainUntilEpochMs',
  value: number | null | undefined,
  nowEpochMs: number,
): OrderProblem | null {
  if (value === undefined || value === null) return null;
  if (Number.isSafeInteger(value) && value > nowEpochMs && value <= nowEpochMs + LONGEST_ORDER_MS) return null;
  const shown = Number.isSafeInteger(value) && Math.abs(value) < 8.64e15 ? new Date(value).toISOString() : value;
  return { field, problem: `${field} is ${shown}; it must lie ahead, by at most ${formatDuration(LONGEST_ORDER_MS)}` };
}

function replicasProblem(value: number, wakes: boolean): OrderProblem | null {
  const least = wakes ? 1 : 0;
  if (Number.isSafeInteger(value) && value >= least && value <= MOST_WAKE_REPLICAS) return null;
  return {
    field: 'wakeReplicas',
    problem: `wakeReplicas is ${value}; it must be a whole number from ${least} to ${MOST_WAKE_REPLICAS}`,
  };
}

/** Without what has passed. A wake without replicas is of one. */
export function inForce(order: PoolOrder, nowEpochMs: number): PoolOrder {
  const wakeUntilEpochMs = ahead(order.wakeUntilEpochMs, nowEpochMs);
  return {
    ...order,
    wakeUntilEpochMs,
    wakeReplicas: wakeUntilEpochMs === null ? 0 : Math.min(MOST_WAKE_REPLICAS, Math.max(1, order.wakeReplicas)),
    drainUntilEpochMs: ahead(order.drainUntilEpochMs, nowEpochMs),
  };
}

function ahead(untilEpochMs: number | null, nowEpochMs: number): number | null {
  return untilEpochMs !== null && untilEpochMs > nowEpochMs ? untilEpochMs : null;
}

/** Whether it orders anything at all. */
export function isOrder({ wakeUntilEpochMs, drainUntilEpochMs, paused }: PoolOrder): boolean {
  return wakeUntilEpochMs !== null || drainUntilEpochMs !== null || paused;
}

/** Orders in force now, in one sentence each. */
export function describeOrders(order: PoolOrder, nowEpochMs: number): readonly string[] {
  const { wakeUntilEpochMs, wakeReplicas, drainUntilEpochMs, paused } = inForce(order, nowEpochMs);
  const by = order.by === null ? '' : ` (ordered by ${order.by})`;
  const until = (epochMs: number): string => `until ${new Date(epochMs).toISOString().replace(/\.\d+Z$/, 'Z')}`;
  return [
    ...(wakeUntilEpochMs === null
      ? []
      : [
          `at least ${wakeReplicas} ${wakeReplicas === 1 ? 'replica is' : 'replicas are'} kept up ${until(wakeUntilEpochMs)}${by}`,
        ]),
    ...(drainUntilEpochMs === null
      ? []
      : [`the pool is drained and stays at zero ${until(drainUntilEpochMs)}, whatever is queued${by}`]),
    ...(paused ? [`paused: replicas stay as they are until it is resumed${by}`] : []),
  ];
}
