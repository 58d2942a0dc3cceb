import type { ErrorCode } from './errors.ts';
import type { LiveTicket, LiveTicketQuery } from './live-order.ts';
import type { PoolKey } from './objects.ts';
import type { Outcome } from './outcome.ts';

/** What an operator sees of the queues of one pool, and does to them. Nothing here has any part of a request's body. */

/** One queue of the backlog, by the states that BullMQ gives its entries. */
export interface BacklogCounts {
  /** To be claimed next, recovered ones included. */
  readonly waiting: number;
  /** Handed back until a time. */
  readonly delayed: number;
  /** In the hands of a gateway: in the live order, running, or its result being synced. */
  readonly active: number;
  /** Pilotlight leaves none: it ends jobs by their outcome. */
  readonly failed: number;
  /** Paused with BullMQ's own means: nothing is claimed until it is resumed with them. */
  readonly isPaused: boolean;
}

export interface ObjectiveQueue {
  readonly objective: string;
  readonly priority: number;
  /** Who paused it; both may be. Its work is queued and gets no slot. */
  readonly paused: { readonly byPolicy: boolean; readonly byOperator: boolean };
  /** In the live order: callers that wait for their answer, stored work, both running. */
  readonly waitingHeld: number;
  readonly waitingStored: number;
  readonly running: number;
  /** Accepted stored requests without an outcome, wherever they are. */
  readonly stored: number;
  readonly bytes: number;
  readonly oldestWaitMs: number | null;
  /** Entries of the backlog: one for each job, one for each chunk of rows. */
  readonly jobs: BacklogCounts;
  readonly chunks: BacklogCounts;
  /** Stored requests of it that the answering gateway may hold in the live order now; 0 = it takes none in. */
  readonly window: number;
  /** Null where no stored jobs are kept. */
  readonly deadLetters: number | null;
}

export interface PoolQueues {
  readonly pool: PoolKey;
  readonly nowEpochMs: number;
  /** Highest priority first. */
  readonly objectives: readonly ObjectiveQueue[];
}

/** Where one request is now. */
export type TicketPlace =
  /** In the live order: waiting for a slot, running, or its result being synced. */
  | { readonly kind: 'live'; readonly ticket: LiveTicket }
  /** In the backlog; `isPaused`: its queue was paused with BullMQ's own means. */
  | { readonly kind: 'backlog'; readonly isPaused: boolean }
  /** In the backlog, but not to be claimed before then. */
  | { readonly kind: 'delayed'; readonly untilEpochMs: number }
  /** Claimed by a gateway, and not or no longer in the live order. */
  | { readonly kind: 'claimed' }
  /** Accepted and without an outcome, but not in the backlog: a reconcile puts it back. */
  | { readonly kind: 'missing' }
  | { readonly kind: 'dead_letter'; readonly letter: DeadLetter }
  /** It has its outcome. */
  | { readonly kind: 'ended'; readonly outcome: Outcome; readonly endedAtEpochMs: number }
  | { readonly kind: 'unknown' };

export interface TicketExplained {
  readonly pool: PoolKey;
  readonly id: string;
  readonly place: TicketPlace;
  /** Of a stored job. */
  readonly job: { readonly objective: string; readonly tenant: string; readonly acceptedAtEpochMs: number } | null;
}

/** A job that failed for good: its attempts are used up, it was quarantined, or its answer could not be kept. */
export interface DeadLetter {
  readonly id: string;
  readonly objective: string;
  readonly tenant: string;
  readonly model: string;
  readonly path: string;
  readonly code: ErrorCode | null;
  readonly httpStatus: number;
  readonly attempts: number;
  /** Of the request. */
  readonly bodyBytes: number;
  readonly acceptedAtEpochMs: number;
  readonly endedAtEpochMs: number;
  /** Then the job is forgotten, with its request: it can be retried until then. */
  readonly keptUntilEpochMs: number;
  /** The job that this one was a retry of. */
  readonly retryOf: string | null;
}

export interface DeadLetterQuery {
  /** Null = all. */
  readonly objective: string | null;
  /** Only those that ended before; null = all. */
  readonly endedBeforeEpochMs: number | null;
  /** `next` of the page before. */
  readonly after: string | null;
  /** 1..500. */
  readonly limit: number;
}

export interface DeadLetterPage {
  /** By objective, oldest first. */
  readonly letters: readonly DeadLetter[];
  /** Null = there are no more. A page can be short and have a next one. */
  readonly next: string | null;
}

export type DeadLetterAnswer =
  /** The request is accepted again, as this job. */
  | { readonly id: string; readonly kind: 'retried'; readonly retriedAs: string }
  | { readonly id: string; readonly kind: 'purged' }
  /** Not a dead letter of this pool: unknown, unfinished, ended otherwise, or past retention. */
  | { readonly id: string; readonly kind: 'not_dead' }
  /** It stays a dead letter. */
  | { readonly id: string; readonly kind: 'refused'; readonly code: ErrorCode; readonly message: string };

/** The dead letters of one pool. Each method throws `queue_unavailable` or `store_unavailable` when those do not answer. */
export interface DeadLetterDesk {
  count(objective: string): Promise<number>;
  list(query: DeadLetterQuery): Promise<DeadLetterPage>;
  /** Null = not a dead letter of this pool. */
  show(id: string): Promise<DeadLetter | null>;
  /**
   * Accepts the same request as a new job of the same tenant, with the time to its deadline that it had at first. The
   * failed job keeps its outcome. Repeating it makes no second one.
   */
  retry(ids: readonly string[]): Promise<readonly DeadLetterAnswer[]>;
  /** Forgets the jobs: their tenants do not find them any more, also after a loss of Redis. */
  purge(ids: readonly string[]): Promise<readonly DeadLetterAnswer[]>;
}

/** The queues of one pool. Throws `queue_unavailable` when Redis does not answer. */
export interface QueueDesk {
  look(): Promise<PoolQueues>;
  tickets(query: LiveTicketQuery): Promise<readonly LiveTicket[]>;
  explain(id: string): Promise<TicketExplained>;
  setPaused(objective: string, paused: boolean): Promise<void>;
  /** Null where no stored jobs are kept. */
  readonly deadLetters: DeadLetterDesk | null;
}

/** The queues of the pools that this process serves; undefined = none of that key. */
export type QueueDesks = (pool: PoolKey) => QueueDesk | undefined;
