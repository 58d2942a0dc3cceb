import type { PoolKey } from './objects.ts';
import type { Outcome } from './outcome.ts';

/**
 * The live order as its users see it: every request that could run now, in one order for all replicas of a pool.
 * Rules: docs/queue.md. The queue area implements it; the dispatcher enters tickets, the autoscaler reads snapshots
 * and works the drain gates.
 */

/** Limits that one admission is held to; resolved from pool and objective, so that the ledger keeps no configuration. */
export interface AdmissionLimits {
  /** Pool budget over all objectives: queued held calls plus everything stored. */
  readonly poolMaxRequests: number;
  readonly poolMaxBytes: number;
  /** Refuse once either budget is used to this percent, 1..100. */
  readonly shedAtPercent: number;
  /** What this objective alone may have. */
  readonly objectiveMaxRequests: number;
  readonly objectiveMaxBytes: number;
  /** What one fairness id may have in this pool, over all objectives; absent = no limit of its own. */
  readonly tenantMaxRequests?: number;
  readonly tenantMaxBytes?: number;
}

/** How the order treats the work of one objective beyond its priority; the same for every process of an installation. */
export interface ObjectiveRules {
  readonly objective: string;
  readonly priority: number;
  /** Of the tokens that the pool serves while this objective has work, at least so many percent are its own. 0 = no guarantee. */
  readonly guaranteedSharePercent: number;
  /** A ticket that has waited this long stands in the highest band from then on. Null = never. */
  readonly agingMs: number | null;
  /** Of the pool's open slots, so many percent are kept free of lower bands for this objective. 0 = none. */
  readonly reservedSlotsPercent: number;
  /** The reserved slots lapse when nothing of this objective came for so long. */
  readonly reservedLapseMs: number;
  /** Declared in its policy: it keeps its queue and gets no slots. */
  readonly paused: boolean;
}

/**
 * `held`: its caller waits on a connection. `stored`: a job; its one outcome is kept by the ledger. `row`: of a batch; taken in
 * and handed back like stored work, but its outcome is the batch's business and its demand is counted in bulk.
 */
export type TicketKind = 'held' | 'stored' | 'row';

export interface TicketSpec {
  /** The request's or the job's id. A second admit of the same id meets `live` or `done`. */
  readonly id: string;
  readonly kind: TicketKind;
  readonly objective: string;
  readonly priority: number;
  /** Tenant; the tenants of a band share its slots by tokens, in proportion to their weights. */
  readonly fairnessId: string;
  /** 1..1000. */
  readonly weight: number;
  /** Requests of this fairness id that may hold a slot of this pool at one time; absent = any number. */
  readonly maxConcurrency?: number;
  readonly costTokens: number;
  readonly bytes: number;
  /** Adapter an endpoint must be able to serve; '' = any endpoint. Tickets of one class block only each other. */
  readonly classKey: string;
  /** Evicted when still waiting then. Null = waits for ever. */
  readonly expiresAtEpochMs: number | null;
  /** The way to `expiresAtEpochMs` is only counted while the pool has an open slot: what passes without moves it. */
  readonly expiryStopsWithoutCapacity?: boolean;
  /**
   * Within a fairness id the earliest goes first. Absent or null: its expiry, unless that can stand still, else a day after
   * its arrival. A ticket whose expiry can stand still is evicted at its deadline, too.
   */
  readonly deadlineEpochMs?: number | null;
  /** Arrival to keep (re-claimed stored work, a repeated call); null = now. */
  readonly arrivedAtEpochMs: number | null;
  readonly limits: AdmissionLimits;
  /** Stored work whose end is put into the outbox, also when the ledger lost its entry. */
  readonly announced?: boolean;
}

export type RejectReason = 'queue_full' | 'queue_shed' | 'paused';
/** `displaced`: a held ticket made room for a higher band. */
export type EvictReason = 'expired' | 'withdrawn' | 'lost' | 'handed_back' | 'displaced';

/** Why a ticket waits, the first of these that holds. */
export const WAIT_REASONS = [
  /** Its objective is paused. */
  'paused',
  /** The pool has no open slot: it sleeps or boots. */
  'no_capacity',
  /** No open endpoint serves its adapter, or all that do have failed it. */
  'no_endpoint_for_class',
  /** Its fairness id runs as many requests as it may. */
  'tenant_concurrency',
  /** Free slots are kept for a higher band. */
  'reserved',
  /** Its owner does not answer. */
  'owner_silent',
  /** Others are before it. */
  'order',
] as const;
export type WaitReason = (typeof WAIT_REASONS)[number];

/** One ticket of the live order as an operator sees it; no part of the request itself. */
export interface LiveTicket {
  readonly id: string;
  readonly kind: TicketKind;
  readonly objective: string;
  readonly priority: number;
  readonly fairnessId: string;
  readonly state: 'waiting' | 'offered' | 'running' | 'recording';
  /** Estimated number of tickets that get a slot before it, 0 = next; null unless it waits. */
  readonly position: number | null;
  readonly reason: WaitReason | null;
  readonly endpointId: string | null;
  readonly owner: string;
  readonly attempt: number;
  readonly costTokens: number;
  readonly queuedAtEpochMs: number;
  readonly expiresAtEpochMs: number | null;
}

export interface LiveTicketQuery {
  /** Null = all. */
  readonly objective: string | null;
  readonly fairnessId: string | null;
  /** At most so many, 1..500: waiting tickets by arrival, before those in service. */
  readonly limit: number;
}

/** Looking at and steering the order of one pool, for operators. */
export interface OrderControl {
  readonly pool: PoolKey;
  /** Replaces the rules of all objectives. Repeated by the client after the ledger was lost. */
  setRules(rules: readonly ObjectiveRules[]): Promise<void>;
  /** By an operator, beside what the policy declares; kept by the ledger until it is taken back. */
  setPaused(objective: string, paused: boolean): Promise<void>;
  pausedObjectives(): Promise<readonly string[]>;
  list(query: LiveTicketQuery): Promise<readonly LiveTicket[]>;
  /** Null = not in the live order. */
  find(id: string): Promise<LiveTicket | null>;
}

/** How `enter` ends. Refusals are values; only a broken ledger connection throws (PilotlightError `queue_unavailable`). */
export type Entry =
  | { readonly kind: 'run'; readonly lease: Lease }
  | { readonly kind: 'rejected'; readonly reason: RejectReason; readonly usedPercent: number; readonly limit: string }
  | { readonly kind: 'evicted'; readonly reason: EvictReason }
  /** A stored request that already has its outcome. */
  | { readonly kind: 'done'; readonly outcome: Outcome }
  /** The same id is being executed by another owner (or by this one already). */
  | { readonly kind: 'live'; readonly owner: string };

/** The right to run one ticket on one endpoint's slot. */
export interface Lease {
  readonly ticketId: string;
  readonly endpointId: string;
  /** 1 for the first endpoint this ticket runs on. */
  readonly attempt: number;
  /** Milliseconds it waited in the live order. */
  readonly waitedMs: number;
  /** Aborts when this process can no longer prove that it owns the slot: stop the upstream call before anything else. */
  readonly lost: AbortSignal;
  /**
   * Gives the slot back and waits for another endpoint, at the old place in the order. Only before the first byte.
   * '' excludes none: the pool has no other.
   */
  requeue(excludeEndpointId: string): Promise<Entry>;
  /**
   * Gives the slot back; the engine's last byte has come. The result may still have to be synced. Idempotent. If the
   * signal given to `enter` has aborted, this ends the ticket (stored work goes back to the backlog). `usedTokens`, when the
   * engine told: what the tenant is charged instead of the estimate (as is `usage` of the outcome that settles).
   */
  release(usedTokens?: number): void;
  /**
   * Ends the ticket (and releases, if not done yet). For stored work the first outcome wins: `settled` = this one,
   * `already` = another one was first (returned). `recordRef` points at the synced result record.
   */
  settle(outcome: Outcome, recordRef?: string): Promise<{ kind: 'settled' } | { kind: 'already'; outcome: Outcome }>;
}

export interface EnterOptions {
  /** Endpoint ids, best first, as the picker sees them at this moment. Asked again before a slot is taken. */
  readonly rank: () => readonly string[];
  /** Aborting withdraws the ticket at once. */
  readonly signal: AbortSignal;
  /** Called when the ticket starts to wait and when its position changes noticeably. 0 = next. */
  readonly onWaiting?: (position: number) => void;
}

export interface LiveOrder {
  readonly pool: PoolKey;
  enter(ticket: TicketSpec, options: EnterOptions): Promise<Entry>;
}

export type Gate = 'open' | 'draining' | 'closed';

/** Slots of one endpoint as they should be now (slow start and learning included). */
export interface EndpointSlots {
  readonly id: string;
  readonly slots: number;
  /** Adapters it can serve; null = any class. */
  readonly adapters: readonly string[] | null;
}

export interface ObjectiveDemand {
  readonly objective: string;
  readonly priority: number;
  /** By its policy or by an operator: what waits gets no slot, and neither wakes a pool nor keeps it up. Absent = no. */
  readonly paused?: boolean;
  /** Tickets waiting in the live order. */
  readonly waitingHeld: number;
  readonly waitingStored: number;
  readonly running: number;
  /** Accepted stored requests without an outcome, those in bulk and those in the live order included. */
  readonly stored: number;
  /** Bytes of everything queued or stored. */
  readonly bytes: number;
  /** Estimated tokens of everything queued or stored. */
  readonly costTokens: number;
  /** Arrival of the oldest that still waits (held or stored); null = none. */
  readonly oldestAtEpochMs: number | null;
  /**
   * Stored work with a deadline, in the live order or not, earliest first: at most 32 entries, the last of which gathers the
   * rest. Bulks are exact; deadlines of jobs are brought forward by at most a 32nd of the time the job was given.
   */
  readonly deadlines: readonly DeadlineDemand[];
  /**
   * Since the ledger began: accepted (not what is in bulk, for a file is no rate of arrivals), released slots,
   * slot-milliseconds they were held, tokens they were estimated at, ended.
   */
  readonly arrivedTotal: number;
  readonly releasedTotal: number;
  readonly slotMsTotal: number;
  readonly releasedCostTokensTotal: number;
  readonly settledTotal: number;
}

/** Work that should be done by then. */
export interface DeadlineDemand {
  readonly deadlineEpochMs: number;
  /** When the earliest of it was accepted. */
  readonly acceptedAtEpochMs: number;
  readonly requests: number;
  readonly costTokens: number;
}

/** Much stored work of one objective that is counted, not listed: the rows of a batch that have not ended. */
export interface BulkDemand {
  /** Unique in the pool, e.g. "<batch>.<group>". */
  readonly id: string;
  readonly objective: string;
  readonly priority: number;
  /** Rows that have not ended, those in the live order included. 0 removes the entry. */
  readonly requests: number;
  readonly bytes: number;
  readonly costTokens: number;
  readonly deadlineEpochMs: number | null;
  readonly acceptedAtEpochMs: number;
}

export interface EndpointUse {
  readonly id: string;
  readonly slots: number;
  readonly used: number;
  readonly quarantined: number;
  readonly gate: Gate;
}

export interface LedgerSnapshot {
  readonly nowEpochMs: number;
  readonly incarnation: string;
  /** Bumped by every admit and reservation; guards 1→0. */
  readonly activityEpoch: number;
  readonly objectives: readonly ObjectiveDemand[];
  readonly endpoints: readonly EndpointUse[];
  readonly owners: number;
  /** True while owners still re-assert after a Redis restart: counts may be too low, so freeze. */
  readonly recovering?: boolean;
}

/** What the dispatcher and the autoscaler do to the slots of a pool. */
export interface SlotLedger {
  /** Replaces the set of endpoints; an id that is missing is closed, its offered tickets wait again. */
  setEndpoints(endpoints: readonly EndpointSlots[]): Promise<void>;
  /** Another process sets them from now on: they are not set again after the ledger was lost. */
  forgetEndpoints(): void;
  setGate(endpointId: string, gate: Gate): Promise<void>;
  snapshot(): Promise<LedgerSnapshot>;
  /** Slots of endpoints that are booting; widens the intake windows so that work is at hand when they open. */
  setSoonSlots(slots: number): Promise<void>;
  /** Closes every endpoint for 1→0 if nothing is queued, stored or running and the epoch is still `activityEpoch`. */
  closeIfIdle(activityEpoch: number): Promise<boolean>;
  /** Called at once when work arrives at a pool without an open slot. Returns the way to stop. */
  onDemand(listener: () => void): () => void;
}

/** Scrapes of the engines, as far as the ledger needs them: they end the quarantine of a dead owner's slots. */
export interface EngineWatch {
  /** Requests running and waiting inside the engine, as a scrape sent at `startedAtEpochMs` saw them. */
  observe(endpointId: string, activeRequests: number, startedAtEpochMs: number): void;
}

/** Accepting stored work: capacity is reserved before anything is written. */
export type Reservation =
  | { readonly kind: 'reserved' }
  | { readonly kind: 'rejected'; readonly reason: RejectReason; readonly usedPercent: number; readonly limit: string };

export interface StoredTicket {
  readonly id: string;
  readonly objective: string;
  readonly priority: number;
  /** Tenant whose budget it counts against. */
  readonly fairnessId: string;
  readonly bytes: number;
  readonly costTokens: number;
  readonly limits: AdmissionLimits;
  readonly deadlineEpochMs: number | null;
  /** When it was accepted, for an entry that `confirm` has to make again; absent = now. */
  readonly acceptedAtEpochMs?: number;
  /** Its end is put into the outbox. */
  readonly announced?: boolean;
}

export interface StoredOutcome {
  readonly outcome: Outcome;
  /** Where the synced result record is; null when there is none (cancelled, expired). */
  readonly recordRef: string | null;
  readonly atEpochMs: number;
}

/** The ledger's part in stored work: what counts as demand, and the one outcome of each. */
export interface StoredLedger {
  readonly pool: PoolKey;
  /** Counts the request as demand for `ttlMs`; a crash before `confirm` gives the room back by itself. */
  reserve(ticket: StoredTicket, ttlMs: number): Promise<Reservation>;
  /** The request is accepted and stays demand until its outcome. Idempotent; re-creates a lost entry (reconcile). */
  confirm(ticket: StoredTicket): Promise<void>;
  /** The request was not accepted after all. */
  forget(id: string, objective: string): Promise<void>;
  /**
   * First outcome wins, whether or not a ticket is live. Removes the demand; a waiting ticket of that id is withdrawn. The
   * first settle of work that was confirmed with `announced`, or is said to be announced here (for work whose entry may
   * be lost), puts its id into the outbox in the same step.
   */
  settle(
    id: string,
    objective: string,
    outcome: Outcome,
    recordRef: string | null,
    options?: { readonly announced?: boolean },
  ): Promise<{ kind: 'settled' } | { kind: 'already'; stored: StoredOutcome }>;
  outcomes(ids: readonly string[]): Promise<readonly (StoredOutcome | null)[]>;
  /** Ids whose deadline has passed and that have no outcome, oldest first. */
  overdue(limit: number): Promise<readonly { id: string; objective: string }[]>;
  /**
   * Replaces what is known of one bulk of work (absolute numbers, so repeating or losing one does no harm). Counts as stored
   * demand, opens windows and wakes the pool when it grew; not held to the budgets of pool and objective, because its rows
   * wait on the file store. Its keeper repeats it at least every minute: one that was not told for ten minutes is forgotten,
   * and a ledger that was lost learns of it so.
   */
  setBulk(demand: BulkDemand): Promise<void>;
  /** Jobs with an announcement whose end has not been acknowledged, oldest first. `settle` adds them in its own step. */
  outbox(limit: number): Promise<readonly { id: string; objective: string }[]>;
  ackOutbox(ids: readonly string[]): Promise<void>;
  /** How many stored requests of each objective this owner should have in the live order; 0 or absent = intake closed. */
  windows(): ReadonlyMap<string, number>;
  onWindows(listener: () => void): () => void;
  /** Fires after a Redis restart or fail-over lost ledger state: stored work must be reconciled with the store. */
  onIncarnation(listener: (incarnation: string) => void): () => void;
}
