import type { LiveTicket } from '../../../core/live-order.ts';

/** What operators ask of the ledger; the rules of ops.ts hold here too. */

/** Kept through incarnations until it is taken back. */
export interface SetPausedOp {
  readonly op: 'setPaused';
  readonly objective: string;
  readonly paused: boolean;
}
export interface PausedOp {
  readonly op: 'paused';
}
export interface PausedReply {
  readonly kind: 'paused';
  /** In order of name. */
  readonly objectives: readonly string[];
}

/** Tickets that wait, by arrival, then those that hold a slot. */
export interface ListOp {
  readonly op: 'list';
  /** '' = all. */
  readonly objective: string;
  readonly fairnessId: string;
  /** 1..MAX_LISTED. */
  readonly limit: number;
}
export interface FindOp {
  readonly op: 'find';
  readonly id: string;
}
export interface ListReply {
  readonly kind: 'listed';
  readonly tickets: readonly TicketLine[];
}
/** LiveTicket without null: `position` -1, `reason` and `endpointId` '', `expiresAtEpochMs` 0. */
export interface TicketLine extends Omit<LiveTicket, 'position' | 'reason' | 'endpointId' | 'expiresAtEpochMs'> {
  readonly position: number;
  readonly reason: NonNullable<LiveTicket['reason']> | '';
  readonly endpointId: string;
  readonly expiresAtEpochMs: number;
}
