import type {
  AdmissionLimits,
  EndpointUse,
  Gate,
  ObjectiveDemand,
  ObjectiveRules,
  TicketKind,
} from '../../../core/live-order.ts';
import type { FindOp, ListOp, ListReply, PausedOp, PausedReply, SetPausedOp } from './control-ops.ts';
import type {
  AckOutboxOp,
  ConfirmOp,
  ForgetOp,
  OutboxOp,
  OutboxReply,
  OutcomesOp,
  OutcomesReply,
  OverdueOp,
  OverdueReply,
  Rejected,
  ReserveOp,
  ReserveReply,
  SetBulkOp,
  SetBulkReply,
  SettleOp,
  SettleReply,
} from './stored-ops.ts';

/**
 * The operations of the ledger and their replies: what a process says to the live order. A turn carries a list of them;
 * each is answered by itself. Everything here travels as JSON, so the rules are: no null inside, 0 = "none" for an
 * instant, and stamps (tags, tokens: 16 digits) are decimal strings.
 */

/** A stamp: microseconds since the epoch, made unique and increasing by the ledger. */
export type Stamp = string;

/** Joins the ledger, or joins it again after `stale`. The only operation that needs no incarnation. */
export interface OpenOp {
  readonly op: 'open';
  /** Identity of the Redis process that answers; a new one means that ledger state may be lost. */
  readonly runId: string;
  /** The incarnation this process knew; '' = none. */
  readonly previous: string;
  /** It executes tickets and takes in stored work; false for a controller that only looks and sets. */
  readonly executes: boolean;
  /** Kept by the ledger: the last that opened it decides for all. */
  readonly timing: Timing;
}
export interface OpenReply {
  readonly kind: 'opened';
  readonly incarnation: string;
  readonly recovering: boolean;
  /** How long the pool has had no open slot, all times together: what moves the expiries that stop then. */
  readonly stoppedMs: number;
}

/** Whose request it is, and what the order owes to him. */
export interface TenantFields {
  /** Absent = ''. */
  readonly fairnessId?: string;
  /** 1..1000; absent = 1. */
  readonly weight?: number;
  /** Absent or 0 = any number. */
  readonly maxConcurrency?: number;
  /** Absent or 0 = its expiry, else a day after its arrival. */
  readonly deadlineMs?: number;
  /** The way to `expiresAtMs` counts only while the pool has an open slot; a deadline is then a second expiry. */
  readonly expiryStops?: boolean;
}

export interface AdmitOp extends TenantFields {
  readonly op: 'admit';
  readonly id: string;
  readonly kind: TicketKind;
  readonly objective: string;
  readonly priority: number;
  readonly classKey: string;
  readonly bytes: number;
  readonly costTokens: number;
  readonly expiresAtMs: number;
  readonly arrivedAtMs: number;
  readonly limits: AdmissionLimits;
  /** Endpoint ids, best first. */
  readonly ranking: readonly string[];
}
export type AdmitReply =
  | { readonly kind: 'run'; readonly endpointId: string; readonly token: Stamp; readonly tag: Stamp }
  /** `asleep`: no endpoint has an open slot. */
  | { readonly kind: 'queued'; readonly position: number; readonly tag: Stamp; readonly asleep: boolean }
  | Rejected
  | { readonly kind: 'expired' }
  /** The stored outcome as it was written. */
  | { readonly kind: 'done'; readonly stored: string }
  | { readonly kind: 'live'; readonly owner: string };

export interface TakeOp {
  readonly op: 'take';
  readonly id: string;
  readonly token: Stamp;
  readonly ranking: readonly string[];
}
export type TakeReply =
  | { readonly kind: 'run'; readonly endpointId: string; readonly attempt: number; readonly waitedMs: number }
  /** Neither the offered endpoint nor a better free one is in the ranking; the offer stands until it lapses. */
  | { readonly kind: 'unranked' }
  /** That offer is over; the ticket still waits, or has a newer offer. */
  | { readonly kind: 'stale' }
  /** No such ticket of this owner. */
  | Gone;

export interface Gone {
  readonly kind: 'gone';
}
export interface Ok {
  readonly kind: 'ok';
}

/** The engine's last byte has come: the slot is free, the ticket is recording. */
export interface ReleaseOp {
  readonly op: 'release';
  readonly id: string;
  readonly token: Stamp;
  /** What the engine told; absent or 0 = as estimated. */
  readonly usedTokens?: number;
}
/** Ends a held call or a row; frees its slot if it still has one. */
export interface FinishOp {
  readonly op: 'finish';
  readonly id: string;
  readonly token: Stamp;
  /** As of `release`. */
  readonly usedTokens?: number;
}
/** Failed before its first byte: waits again at its old place, not for `exclude` ('' = for any). */
export interface RequeueOp {
  readonly op: 'requeue';
  readonly id: string;
  readonly token: Stamp;
  readonly exclude: string;
}
export type RequeueReply = { readonly kind: 'queued'; readonly position: number } | Gone;

/** Takes the ticket out of the order, whatever it holds. */
export interface WithdrawOp {
  readonly op: 'withdraw';
  readonly id: string;
}

/** Proof of life; also the safety tick. `check`: ids whose place is asked for. */
export interface HeartbeatOp {
  readonly op: 'heartbeat';
  readonly check: readonly string[];
}
export interface HeartbeatReply {
  readonly kind: 'beat';
  /** Tickets the ledger holds for this owner. */
  readonly tickets: number;
  readonly recovering: boolean;
  /** For each of `check`: 0 = next, IN_SERVICE, or NOT_HERE. */
  readonly positions: readonly number[];
  readonly windows: readonly { readonly objective: string; readonly requests: number }[];
  /** As of `opened`. */
  readonly stoppedMs: number;
}
/** Position of a ticket that holds a slot or records its result. */
export const IN_SERVICE = -1;
/** Position of a ticket that this owner does not have. */
export const NOT_HERE = -2;

/** Safety tick that also reads this owner's offers again, in case their announcement was lost. */
export interface PollOp {
  readonly op: 'poll';
}

/** One ticket as its owner knows it, after ledger state was lost or doubted. */
export interface ReassertedTicket extends TenantFields {
  readonly id: string;
  readonly kind: TicketKind;
  readonly objective: string;
  readonly priority: number;
  readonly classKey: string;
  readonly bytes: number;
  readonly costTokens: number;
  readonly expiresAtMs: number;
  /** '0' when the ledger never told it. */
  readonly tag: Stamp;
  readonly queuedAtMs: number;
  readonly state: 'waiting' | 'running' | 'recording';
  /** '' when waiting. */
  readonly endpointId: string;
  readonly excluded: readonly string[];
  readonly attempt: number;
}
/** Replaces the whole set of this owner's tickets, in chunks: `first` begins, `last` drops what was not named. */
export interface ReassertOp {
  readonly op: 'reassert';
  readonly tickets: readonly ReassertedTicket[];
  readonly first: boolean;
  readonly last: boolean;
}
export interface ReassertReply {
  readonly kind: 'reasserted';
  /** `lost`: another owner runs it. `done`: it has its outcome. The token is '' unless running or recording. */
  readonly tickets: readonly {
    readonly state: 'waiting' | 'running' | 'recording' | 'lost' | 'done';
    readonly token: Stamp;
    readonly tag: Stamp;
  }[];
}

/** This owner is going: its tickets leave at once. */
export interface LeaveOp {
  readonly op: 'leave';
}

export interface SetEndpointsOp {
  readonly op: 'setEndpoints';
  /** `adapters` absent = serves every class. */
  readonly endpoints: readonly { readonly id: string; readonly slots: number; readonly adapters?: readonly string[] }[];
}
export interface SetGateOp {
  readonly op: 'setGate';
  readonly endpointId: string;
  readonly gate: Gate;
}
export interface SetSoonSlotsOp {
  readonly op: 'setSoonSlots';
  readonly slots: number;
}
/** ObjectiveRules without null: `agingMs` 0 = never. */
export interface RuleLine extends Omit<ObjectiveRules, 'agingMs'> {
  readonly agingMs: number;
}
/** Replaces the rules of all objectives; one that is not named has none. */
export interface SetRulesOp {
  readonly op: 'setRules';
  readonly rules: readonly RuleLine[];
}
export interface CloseIfIdleOp {
  readonly op: 'closeIfIdle';
  readonly activityEpoch: number;
}
export interface CloseIfIdleReply {
  readonly kind: 'idle';
  readonly closed: boolean;
}
/** What a scrape of an engine saw: it may clear the quarantine of a dead owner's slots. */
export interface ObserveOp {
  readonly op: 'observe';
  readonly endpointId: string;
  /** Requests running and waiting inside the engine. */
  readonly activeRequests: number;
  /** When the scrape was sent, in ledger time. */
  readonly startedAtMs: number;
}

export interface SnapshotOp {
  readonly op: 'snapshot';
}
/** `oldestAtEpochMs` is 0 for none. */
export type DemandLine = Omit<ObjectiveDemand, 'oldestAtEpochMs'> & { readonly oldestAtEpochMs: number };
export interface SnapshotReply {
  readonly kind: 'snapshot';
  readonly activityEpoch: number;
  readonly recovering: boolean;
  readonly owners: number;
  /** In order of name. */
  readonly objectives: readonly DemandLine[];
  readonly endpoints: readonly EndpointUse[];
}

/** The operation could not be read; the others of the turn are not affected. */
export interface Failed {
  readonly kind: 'error';
  readonly message: string;
}

/** Every operation with its reply. */
export interface Protocol {
  open: { op: OpenOp; reply: OpenReply };
  admit: { op: AdmitOp; reply: AdmitReply };
  take: { op: TakeOp; reply: TakeReply };
  release: { op: ReleaseOp; reply: Ok | Gone };
  finish: { op: FinishOp; reply: Ok | Gone };
  requeue: { op: RequeueOp; reply: RequeueReply };
  withdraw: { op: WithdrawOp; reply: Ok | Gone };
  heartbeat: { op: HeartbeatOp; reply: HeartbeatReply };
  poll: { op: PollOp; reply: Ok };
  reassert: { op: ReassertOp; reply: ReassertReply };
  leave: { op: LeaveOp; reply: Ok };
  setEndpoints: { op: SetEndpointsOp; reply: Ok };
  setGate: { op: SetGateOp; reply: Ok };
  setSoonSlots: { op: SetSoonSlotsOp; reply: Ok };
  setRules: { op: SetRulesOp; reply: Ok };
  closeIfIdle: { op: CloseIfIdleOp; reply: CloseIfIdleReply };
  observe: { op: ObserveOp; reply: Ok };
  reserve: { op: ReserveOp; reply: ReserveReply };
  confirm: { op: ConfirmOp; reply: Ok };
  forget: { op: ForgetOp; reply: Ok };
  settle: { op: SettleOp; reply: SettleReply };
  outcomes: { op: OutcomesOp; reply: OutcomesReply };
  overdue: { op: OverdueOp; reply: OverdueReply };
  setBulk: { op: SetBulkOp; reply: SetBulkReply };
  outbox: { op: OutboxOp; reply: OutboxReply };
  ackOutbox: { op: AckOutboxOp; reply: Ok };
  snapshot: { op: SnapshotOp; reply: SnapshotReply };
  setPaused: { op: SetPausedOp; reply: Ok };
  paused: { op: PausedOp; reply: PausedReply };
  list: { op: ListOp; reply: ListReply };
  find: { op: FindOp; reply: ListReply };
}
export type OpName = keyof Protocol;
export type LedgerOp = Protocol[OpName]['op'];
export type LedgerReply = Protocol[OpName]['reply'];
export type OpOf<N extends OpName> = Protocol[N]['op'];
export type ReplyOf<N extends OpName> = Protocol[N]['reply'];

/** A slot reserved for a ticket until the offer lapses. */
export interface Offer {
  readonly id: string;
  readonly endpointId: string;
  readonly token: Stamp;
}
/** An offer to the caller that was taken for him: the ticket runs. */
export interface Grant extends Offer {
  readonly attempt: number;
  readonly waitedMs: number;
}
/** `settled`: somebody else wrote the outcome of a ticket that runs or records; its owner should stop. */
export interface Eviction {
  readonly id: string;
  readonly reason: 'expired' | 'withdrawn' | 'lost' | 'settled' | 'displaced' | 'handed_back';
}
/** What a turn has to tell an owner besides its replies. */
export interface Mail {
  readonly offers: readonly Offer[];
  readonly evictions: readonly Eviction[];
}

export interface Timing {
  /** How long a slot stays reserved for an offer. */
  readonly offerMs: number;
  /** Without a heartbeat for this long an owner is dead. */
  readonly deadOwnerMs: number;
  /** Longest time a dead owner's slot is kept out of use. */
  readonly quarantineCapMs: number;
  /** Longest wait for the owners to re-assert after ledger state was lost. */
  readonly recoveryMs: number;
  /** How long an outcome is kept. */
  readonly outcomeRetentionMs: number;
}

export interface TurnRequest {
  readonly owner: string;
  /** '' only with `open`. */
  readonly incarnation: string;
  /** Endpoints that the caller could run on now: an offer to him that leaves no choice is taken at once. */
  readonly reach: readonly string[];
  readonly ops: readonly LedgerOp[];
}

export type TurnResult =
  /** Nothing was executed: open and re-assert first. */
  | { readonly kind: 'stale' }
  | {
      readonly kind: 'turned';
      readonly nowMs: number;
      /** One per operation, in order. */
      readonly replies: readonly (LedgerReply | Failed)[];
      readonly grants: readonly Grant[];
      /** For the calling owner. Others are told by their channel. */
      readonly mail: Mail;
      /** What the pool is told; the caller hears it here. */
      readonly hints: readonly PoolHint[];
    };

/** Announced to every process of the pool. `wake`: work came and no slot is open. `windows`: read yours again. */
export type PoolHint = 'wake' | 'windows';
