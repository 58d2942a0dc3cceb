import type { BatchDoc, RowGate, RowTotals } from '../batch-doc.ts';

/** What its keeper knows beside the document. */
export interface DriveFacts {
  /** Null = Redis knows nothing of its rows. Of no meaning before there is a plan. */
  readonly totals: RowTotals | null;
  /** Generation that was last supplied from here; 0 = none. */
  readonly suppliedGeneration: number;
  /** Its chunks and its demand were taken away from here, since it is ending. */
  readonly isWithdrawn: boolean;
  /** When this keeper closed the gate; null = it did not. */
  readonly closedAtEpochMs: number | null;
  /** Its rows that hold or await a slot, over all gateways, as of a second or two ago. */
  readonly rowsRunning: number;
  /** Its former keeper died: row records may be synced that the states do not know. */
  readonly needsRecovery: boolean;
}

export type Step =
  /** Nothing is left to do. */
  | { readonly kind: 'leave' }
  /** It has ended: tell it, release what it held. */
  | { readonly kind: 'settle' }
  | { readonly kind: 'validate' }
  | { readonly kind: 'end_without_rows' }
  /** Its row states were never opened, or are lost: open them and commit what the records know. */
  | { readonly kind: 'reopen' }
  | { readonly kind: 'recover' }
  | { readonly kind: 'set_gate'; readonly gate: RowGate }
  | { readonly kind: 'supply' }
  /** Gate to `closing`, chunks and demand away. */
  | { readonly kind: 'withdraw' }
  | { readonly kind: 'expire' }
  | { readonly kind: 'end_pending'; readonly state: 'expired' | 'cancelled' }
  /** Its rows were ended on the word of a generation that this keeper has not heard of. */
  | { readonly kind: 'read_again' }
  | { readonly kind: 'begin_finalizing' }
  | { readonly kind: 'finalise' }
  /** Until then, or until there is news. */
  | { readonly kind: 'wait'; readonly untilEpochMs: number };

/** Once the gate is closed: how long before "no row runs" is believed. Counts of other gateways are this old at most. */
export const CLOSING_SETTLES_MS = 3_000;

/**
 * The next thing to do for a batch. Depends on nothing but what is written down, so that another keeper, at any moment,
 * goes on where the last one stopped; every step may be repeated.
 */
export function nextStep(doc: BatchDoc, facts: DriveFacts, nowEpochMs: number, cancelGraceMs: number): Step {
  if (doc.final !== null) return { kind: doc.settled ? 'leave' : 'settle' };
  if (doc.plan === null) return beforeRows(doc, nowEpochMs);
  if (facts.totals === null) return { kind: 'reopen' };
  if (facts.totals.pending === 0) {
    const isFresh = doc.status === 'in_progress' && doc.ending === null;
    return { kind: isFresh ? 'begin_finalizing' : 'finalise' };
  }
  return doc.ending === null
    ? whileRowsRun(doc, facts.totals, facts, nowEpochMs)
    : whileRowsEnd(doc, doc.ending, facts.totals, facts, nowEpochMs, cancelGraceMs);
}

function beforeRows(doc: BatchDoc, nowEpochMs: number): Step {
  if (doc.ending !== null) return { kind: 'end_without_rows' };
  return { kind: nowEpochMs >= doc.expiresAtEpochMs ? 'expire' : 'validate' };
}

function whileRowsRun(doc: BatchDoc, totals: RowTotals, facts: DriveFacts, nowEpochMs: number): Step {
  if (totals.gate === 'closed') return { kind: 'read_again' };
  if (nowEpochMs >= doc.expiresAtEpochMs) {
    // Redis has lost ends that were counted before: with their records it is as complete as it was.
    return { kind: doc.status === 'finalizing' && facts.needsRecovery ? 'recover' : 'expire' };
  }
  const gate = doc.pause === null ? 'open' : 'paused';
  if (totals.gate !== gate) return { kind: 'set_gate', gate };
  if (facts.suppliedGeneration !== doc.generation) return { kind: 'supply' };
  if (facts.needsRecovery) return { kind: 'recover' };
  return { kind: 'wait', untilEpochMs: doc.expiresAtEpochMs };
}

function whileRowsEnd(
  doc: BatchDoc,
  state: 'expired' | 'cancelled',
  totals: RowTotals,
  facts: DriveFacts,
  nowEpochMs: number,
  cancelGraceMs: number,
): Step {
  // Somebody was interrupted while ending them: nothing is taken any more, and a closed gate stays closed.
  if (totals.gate === 'closed') return { kind: 'end_pending', state };
  if (totals.gate !== 'closing' || !facts.isWithdrawn) return { kind: 'withdraw' };
  if (facts.needsRecovery) return { kind: 'recover' };
  const sinceEpochMs = state === 'cancelled' ? doc.stamps.cancellingAtEpochMs : doc.expiresAtEpochMs;
  const endEpochMs = (sinceEpochMs ?? nowEpochMs) + cancelGraceMs;
  if (nowEpochMs >= endEpochMs) return { kind: 'end_pending', state };
  const quietEpochMs = (facts.closedAtEpochMs ?? nowEpochMs) + CLOSING_SETTLES_MS;
  if (facts.rowsRunning === 0 && nowEpochMs >= quietEpochMs) return { kind: 'end_pending', state };
  return { kind: 'wait', untilEpochMs: Math.min(endEpochMs, Math.max(quietEpochMs, nowEpochMs + 500)) };
}
