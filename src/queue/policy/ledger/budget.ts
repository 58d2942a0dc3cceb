import type { AdmissionLimits } from '../../../core/live-order.ts';
import type { LedgerState } from './state.ts';
import type { Rejected } from './stored-ops.ts';

/**
 * Why `bytes` more may not be queued or stored; undefined = they may. Budgets count queued held calls and everything
 * stored, over the objective and over the pool; what is stored in bulk waits on the file store and is not counted.
 */
export function refusal(
  state: LedgerState,
  objective: string,
  bytes: number,
  limits: AdmissionLimits,
): Rejected | undefined {
  const own = usage(state, [objective]);
  const pool = usage(state, state.books.keys());
  const usedPercent = Math.max(
    percent(pool.requests, limits.poolMaxRequests),
    percent(pool.bytes, limits.poolMaxBytes),
  );
  const full = (limit: keyof AdmissionLimits): Rejected => ({
    kind: 'rejected',
    reason: 'queue_full',
    usedPercent,
    limit,
  });
  if (own.requests + 1 > limits.objectiveMaxRequests) return full('objectiveMaxRequests');
  if (own.bytes + bytes > limits.objectiveMaxBytes) return full('objectiveMaxBytes');
  if (pool.requests + 1 > limits.poolMaxRequests) return full('poolMaxRequests');
  if (pool.bytes + bytes > limits.poolMaxBytes) return full('poolMaxBytes');
  if (usedPercent < limits.shedAtPercent) return undefined;
  return { kind: 'rejected', reason: 'queue_shed', usedPercent, limit: 'shedAtPercent' };
}

function usage(state: LedgerState, objectives: Iterable<string>): { requests: number; bytes: number } {
  let requests = 0;
  let bytes = 0;
  for (const objective of objectives) {
    const book = state.books.get(objective);
    if (book === undefined) continue;
    requests += book.held.size + book.stored.size;
    bytes += book.heldBytes + book.storedBytes;
  }
  return { requests, bytes };
}

function percent(used: number, limit: number): number {
  return limit > 0 ? Math.floor((used * 100) / limit) : 100;
}
