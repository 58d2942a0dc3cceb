import type { PoolKey } from '../../core/objects.ts';
import type { BacklogCounts } from '../../core/queues.ts';

/** What travels through the backlog: pointers, never bodies. */
export interface BacklogItem {
  /** The job's id; adding it twice is one item. */
  readonly id: string;
  readonly objective: string;
  /** Order inside the objective, 1..2,097,151, lower first; equal = by arrival. */
  readonly tag: number;
  /** The virtual time that the tag stands for, so that it can be told again; absent = the tag is never changed. */
  readonly start?: number;
  readonly acceptRef: string;
  readonly costTokens: number;
}

export type AddAnswer =
  | { readonly kind: 'added' }
  /** It is certainly not there. */
  | { readonly kind: 'refused'; readonly why: string }
  /** It may be there: the connection was lost while it was sent. */
  | { readonly kind: 'unknown'; readonly why: string };

/** An item in the hands of this process. */
export interface Claim {
  readonly id: string;
  readonly objective: string;
  /** '' = its entry is damaged. */
  readonly acceptRef: string;
  /** How often it was taken out of the backlog, this time included. Grows with each claim. */
  readonly claims: number;
  /** How often a process that held it died or lost its lock. */
  readonly crashes: number;
  /** As it was added. */
  readonly start?: number;
}

/** What becomes of a claimed item. */
export type ClaimVerdict =
  /** It has its outcome: leaves the backlog. */
  | { readonly kind: 'finished' }
  /** Back to its old place, to be claimed when the intake opens. Only valid while it is closed. */
  | { readonly kind: 'returned' }
  /** Back to its old place, but not before `delayMs` are over. Uses no attempt. */
  | { readonly kind: 'delayed'; readonly delayMs: number };

/** Decides about one claimed item. Must not throw; a throw is treated as `delayed`. */
export type ClaimHandler = (claim: Claim) => Promise<ClaimVerdict>;

/** The intake of one objective in this process. */
export interface IntakeQueue {
  readonly objective: string;
  /** Items in the hands of this process. */
  readonly held: number;
  /** How many it may hold at once; 0 = closed, and nothing is claimed. Takes effect at once, in both directions. */
  setWindow(window: number): void;
  /** Closes, then waits for what is held. */
  close(): Promise<void>;
}

/** Stored work of one pool, durable; one queue per objective. */
export interface Backlog {
  readonly pool: PoolKey;
  add(item: BacklogItem): Promise<AddAnswer>;
  /** Cleaning after an outcome. Resolves also when it was not there or is being held; never throws. */
  remove(id: string, objective: string): Promise<void>;
  /** Whether some process holds it. Throws when Redis does not answer. */
  isHeld(id: string, objective: string): Promise<boolean>;
  /** Objectives that ever had work here, from Redis. */
  objectives(): Promise<readonly string[]>;
  /** Opens the intake of an objective, closed at first. */
  intake(objective: string, handler: ClaimHandler): IntakeQueue;
  /** Puts items of dead processes back to the front of their queue. Returns their ids. Needs no open intake. */
  recoverStalled(objective: string): Promise<readonly string[]>;
  /** Writes again what Redis holds about the queues themselves, after it lost its data. */
  restore(): Promise<void>;
  close(): Promise<void>;
}

/** Where an item is, for people. */
export type BacklogPlace =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'delayed'; readonly untilEpochMs: number }
  /** In the hands of a process. */
  | { readonly kind: 'held' }
  | { readonly kind: 'absent' };

/** What an operator sees of a backlog. Failures of Redis throw as they come. */
export interface BacklogView {
  counts(objective: string): Promise<BacklogCounts>;
  placeOf(id: string, objective: string): Promise<BacklogPlace>;
}

/** A place in the order of one objective's queue. */
export interface BacklogTurn {
  readonly start: number;
  readonly tag: number;
}

/** Fair order between the tenants of each objective of one pool (core/fair-tag.ts), over all processes. */
export interface BacklogTags {
  /** The place of the tenant's next item. One that waits already is not charged again. Throws when Redis does not answer. */
  turn(item: FairItem): Promise<BacklogTurn>;
  /** An item that starts there was taken: who comes now starts no earlier. */
  opened(objective: string, start: number): void;
}

export interface FairItem {
  readonly id: string;
  readonly objective: string;
  readonly tenant: string;
  readonly costTokens: number;
  /** The tenant's share, 1..1000. */
  readonly weight: number;
}

/** Virtual time of each objective's queue, and of its tenants; kept while something is in the queue, else begun anew. */
export interface TagBook {
  turn(item: FairItem): Promise<BacklogTurn>;
  /** Null = nothing has to be done. Else tags have to begin at `base`: call `rollOver`, then tag again what waits. */
  opened(objective: string, start: number): Promise<{ readonly base: number } | null>;
  /**
   * From now on tags begin at `base`. False when another process is at it, for up to a minute after its last word; to be
   * repeated while one is at it, and once more with `isDone` at the end.
   */
  rollOver(objective: string, base: number, isDone: boolean): Promise<boolean>;
}
