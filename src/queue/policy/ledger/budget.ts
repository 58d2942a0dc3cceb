import type { AdmissionLimits } from '../../../core/live-order.ts';
import type { LedgerState, ObjectiveBook, Usage } from './state.ts';
import type { Rejected } from './stored-ops.ts';
import { tenantUsage } from './tenant-usage.ts';

/** What asks for room. */
export interface Newcomer {
  readonly objective: string;
  readonly fairnessId?: string;
  readonly bytes: number;
  readonly limits: AdmissionLimits;
}

/**
 * Why it may not be queued or stored; undefined = it may. Budgets count queued held calls and everything stored: of the
 * objective, of the fairness id, and of the pool. What is stored in bulk waits on the file store and is not counted.
 */
export function refusal(state: LedgerState, newcomer: Newcomer): Rejected | undefined {
  const pool = poolUsage(state);
  return ownRefusal(state, newcomer, pool) ?? poolRefusal(newcomer, pool);
}

/** Because of what its objective or its fairness id has: whatever others have, nothing makes room for it. */
export function ownRefusal(state: LedgerState, newcomer: Newcomer, pool: Usage): Rejected | undefined {
  const { objective, fairnessId = '', bytes, limits } = newcomer;
  const full = (limit: keyof AdmissionLimits): Rejected => ({
    kind: 'rejected',
    reason: 'queue_full',
    usedPercent: usedPercent(pool, limits),
    limit,
  });
  const own = usageOf(state.books.get(objective));
  if (own.requests + 1 > limits.objectiveMaxRequests) return full('objectiveMaxRequests');
  if (own.bytes + bytes > limits.objectiveMaxBytes) return full('objectiveMaxBytes');
  const { tenantMaxRequests, tenantMaxBytes } = limits;
  if (tenantMaxRequests === undefined && tenantMaxBytes === undefined) return undefined;
  const tenant = tenantUsage(state, fairnessId);
  if (tenant.requests + 1 > (tenantMaxRequests ?? Infinity)) return full('tenantMaxRequests');
  if (tenant.bytes + bytes > (tenantMaxBytes ?? Infinity)) return full('tenantMaxBytes');
  return undefined;
}

/** Because of what the pool has: `pool`, or a part of it that counts. */
export function poolRefusal({ bytes, limits }: Newcomer, pool: Usage): Rejected | undefined {
  const percent = usedPercent(pool, limits);
  const full = (limit: keyof AdmissionLimits): Rejected => ({
    kind: 'rejected',
    reason: 'queue_full',
    usedPercent: percent,
    limit,
  });
  if (pool.requests + 1 > limits.poolMaxRequests) return full('poolMaxRequests');
  if (pool.bytes + bytes > limits.poolMaxBytes) return full('poolMaxBytes');
  if (percent < limits.shedAtPercent) return undefined;
  return { kind: 'rejected', reason: 'queue_shed', usedPercent: percent, limit: 'shedAtPercent' };
}

/** Everything queued and stored in the pool, of bands below `belowPriority` only what is held. */
export function poolUsage(state: LedgerState, belowPriority = -Infinity): Usage {
  const usage = { requests: 0, bytes: 0 };
  for (const book of state.books.values()) {
    const own = book.priority < belowPriority ? heldUsage(book) : usageOf(book);
    usage.requests += own.requests;
    usage.bytes += own.bytes;
  }
  return usage;
}

function usageOf(book: ObjectiveBook | undefined): Usage {
  if (book === undefined) return { requests: 0, bytes: 0 };
  return { requests: book.held.size + book.stored.size, bytes: book.heldBytes + book.storedBytes };
}

function heldUsage(book: ObjectiveBook): Usage {
  return { requests: book.held.size, bytes: book.heldBytes };
}

function usedPercent(pool: Usage, limits: AdmissionLimits): number {
  return Math.max(percentOf(pool.requests, limits.poolMaxRequests), percentOf(pool.bytes, limits.poolMaxBytes));
}

function percentOf(used: number, limit: number): number {
  return limit > 0 ? Math.floor((used * 100) / limit) : 100;
}
