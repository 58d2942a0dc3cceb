import type { StoredOutcome } from '../../core/live-order.ts';

/** Reads an outcome as the ledger keeps it. */
export function parseStoredOutcome(text: string): StoredOutcome {
  return JSON.parse(text) as StoredOutcome;
}
