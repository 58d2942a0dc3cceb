import type { AdmissionLimits, RejectReason } from '../../../core/live-order.ts';

/** The operations on stored work and their replies; the rules of ops.ts hold here too. */

export interface Rejected {
  readonly kind: 'rejected';
  readonly reason: RejectReason;
  readonly usedPercent: number;
  /** Name of the limit: a key of AdmissionLimits. */
  readonly limit: keyof AdmissionLimits;
}

interface StoredDemand {
  readonly id: string;
  readonly objective: string;
  readonly priority: number;
  /** Whose budget it counts against; absent = nobody's. */
  readonly fairnessId?: string;
  readonly bytes: number;
  readonly costTokens: number;
  /** 0 = none. */
  readonly deadlineMs: number;
}
export interface ReserveOp extends StoredDemand {
  readonly op: 'reserve';
  readonly limits: AdmissionLimits;
  readonly ttlMs: number;
}
export type ReserveReply = { readonly kind: 'reserved'; readonly asleep: boolean } | Rejected;
export interface ConfirmOp extends StoredDemand {
  readonly op: 'confirm';
  /** 0 = now. Kept only when the entry is new. */
  readonly acceptedAtMs: number;
  /** Its first outcome puts it into the outbox. */
  readonly announced?: boolean;
}
export interface ForgetOp {
  readonly op: 'forget';
  readonly id: string;
}

/** The first outcome wins. `token` (a stamp) '' = from outside the ticket (cancel, deadline, repair). */
export interface SettleOp {
  readonly op: 'settle';
  readonly id: string;
  readonly objective: string;
  readonly token: string;
  /** JSON texts, written as they are. */
  readonly outcome: string;
  readonly recordRef: string;
  /** As of `confirm`, for work whose demand is not known any more; either one suffices. */
  readonly announced?: boolean;
  /** As of `release`; only with a token. */
  readonly usedTokens?: number;
}
export type SettleReply = { readonly kind: 'settled' } | { readonly kind: 'already'; readonly stored: string };
export interface OutcomesOp {
  readonly op: 'outcomes';
  readonly ids: readonly string[];
}
export interface OutcomesReply {
  readonly kind: 'outcomes';
  /** '' = none. */
  readonly stored: readonly string[];
}
export interface OverdueOp {
  readonly op: 'overdue';
  readonly limit: number;
}
export interface OverdueReply {
  readonly kind: 'overdue';
  readonly jobs: readonly StoredId[];
}
interface StoredId {
  readonly id: string;
  readonly objective: string;
}

/** Replaces what is known of one bulk of work; `requests` 0 removes it. */
export interface SetBulkOp {
  readonly op: 'setBulk';
  readonly id: string;
  readonly objective: string;
  readonly priority: number;
  readonly requests: number;
  readonly bytes: number;
  readonly costTokens: number;
  /** 0 = none. */
  readonly deadlineMs: number;
  readonly acceptedAtMs: number;
}
export interface SetBulkReply {
  readonly kind: 'bulk';
  readonly asleep: boolean;
}

/** Work whose outcome was not acknowledged yet, the longest settled first. */
export interface OutboxOp {
  readonly op: 'outbox';
  readonly limit: number;
}
export interface OutboxReply {
  readonly kind: 'outbox';
  readonly jobs: readonly StoredId[];
}
export interface AckOutboxOp {
  readonly op: 'ackOutbox';
  readonly ids: readonly string[];
}
