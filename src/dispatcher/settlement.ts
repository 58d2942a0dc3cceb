import type { DispatchRequest, DispatchResult, RunOptions } from '../core/dispatch.ts';
import { asError } from '../core/errors.ts';
import type { Lease } from '../core/live-order.ts';
import type { Outcome } from '../core/outcome.ts';
import type { RunnerShared } from './runner-deps.ts';

/** Longest pause between two tries to make a result durable: the backoff doubled so often. */
const MAX_PERSIST_DOUBLINGS = 4;

export interface Settlement {
  readonly shared: RunnerShared;
  readonly request: DispatchRequest;
  readonly persist: RunOptions['persist'];
  /** Aborts on shutdown and on cancel: the only ways in which a result that cannot be stored is given up. */
  readonly signal: AbortSignal;
}

/**
 * Ends a ticket: slot back, result durable (stored work only), outcome told to the ledger, in this order. Null = as
 * wanted; otherwise what the call's result is instead: handed back, or superseded by an earlier outcome.
 */
export async function settle(settlement: Settlement, lease: Lease, outcome: Outcome): Promise<DispatchResult | null> {
  const { shared, request, persist } = settlement;
  const stored = request.ticket.kind !== 'held';
  let recordRef: string | undefined;
  if (stored && persist) {
    lease.release();
    const ref = await persisted(settlement, persist, outcome);
    if (ref === null) return { kind: 'handed_back', reason: 'store_unavailable' };
    recordRef = ref;
  }
  try {
    const settled = await lease.settle(outcome, recordRef);
    return settled.kind === 'already' && stored ? { kind: 'superseded', outcome: settled.outcome } : null;
  } catch (thrown) {
    const { pool, id } = request.call;
    shared.log.warn({ pool, requestId: id, err: asError(thrown) }, 'call.settle_failed');
    // A held call has its answer whatever the ledger knows; stored work is settled again from its record.
    return stored ? { kind: 'handed_back', reason: 'queue_unavailable' } : null;
  }
}

/** Tries until it works: the slot is free, only the result's bytes wait. Null = the call was aborted meanwhile. */
async function persisted(
  { shared, request, signal }: Settlement,
  persist: NonNullable<RunOptions['persist']>,
  outcome: Outcome,
): Promise<string | null> {
  for (let failures = 0; ; failures += 1) {
    try {
      return await persist(outcome);
    } catch (thrown) {
      const { pool, id } = request.call;
      shared.log.warn({ pool, requestId: id, failures, err: asError(thrown) }, 'result.persist_failed');
    }
    const backoffMs = shared.options.persistBackoffMs * 2 ** Math.min(failures, MAX_PERSIST_DOUBLINGS);
    await shared.clock.sleep(backoffMs, signal).catch(() => undefined);
    if (signal.aborted) return null;
  }
}
