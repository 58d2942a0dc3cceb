import type { BlobStore, SegmentPlace } from '../../core/blobs.ts';
import type { StoredLedger } from '../../core/live-order.ts';
import type { PoolKey } from '../../core/objects.ts';
import type { RowRecord } from '../ports.ts';

/** What travels through the backlog: which rows of which batch, never the rows. */
export interface ChunkItem {
  /** Derived from batch and first place; adding it twice is one chunk. */
  readonly id: string;
  readonly objective: string;
  /** Order inside the objective, 1..2,097,151, lower first; equal = by arrival. */
  readonly tag: number;
  /** See `chunkPointer`. */
  readonly acceptRef: string;
  readonly costTokens: number;
}

/** A chunk in the hands of this process. */
export interface ChunkClaim {
  readonly id: string;
  readonly objective: string;
  readonly acceptRef: string;
  readonly claims: number;
  /** How often a process that held it died or lost its lock. */
  readonly crashes: number;
}

export type ChunkVerdict =
  | { readonly kind: 'finished' }
  /** Back to its old place; only while the intake is closed. */
  | { readonly kind: 'returned' }
  | { readonly kind: 'delayed'; readonly delayMs: number };

export interface ChunkIntake {
  readonly held: number;
  /** How many chunks may be held at once; 0 = closed. */
  setWindow(window: number): void;
  close(): Promise<void>;
}

/** Chunks of one pool, one queue per objective: the queue area's Backlog under a prefix of its own. */
export interface ChunkBacklog {
  add(item: ChunkItem): Promise<{ readonly kind: 'added' | 'refused' | 'unknown' }>;
  remove(id: string, objective: string): Promise<void>;
  isHeld(id: string, objective: string): Promise<boolean>;
  objectives(): Promise<readonly string[]>;
  intake(objective: string, handler: (claim: ChunkClaim) => Promise<ChunkVerdict>): ChunkIntake;
  recoverStalled(objective: string): Promise<readonly string[]>;
  restore(): Promise<void>;
}

/** What rows of one pool need. */
export interface RowLane {
  readonly ledger: Pick<StoredLedger, 'pool' | 'windows' | 'onWindows' | 'setBulk' | 'onIncarnation'>;
  readonly backlog: ChunkBacklog;
}

export interface SupplyPlace {
  readonly pool: PoolKey;
  readonly objective: string;
  readonly tenant: string;
}

export interface SupplyWish {
  readonly batchId: string;
  readonly deadlineEpochMs: number;
  /** Estimated tokens of the chunk. */
  readonly costTokens: number;
  /** The tenant's share, above 0. */
  readonly weight: number;
}

/** Whose chunk is next, over all gateways. Throws `queue_unavailable` when Redis does not answer. */
export interface SupplyBook {
  /**
   * The chunk's tag, if its batch is the tenant's next: the earliest deadline among those that asked within the last
   * `SUPPLY_TTL_MS`. Null = another batch of the tenant goes first. Asked again, it is a new tag.
   */
  turn(place: SupplyPlace, wish: SupplyWish): Promise<number | null>;
  /** Keeps the batch's place among its tenant's while enough of its chunks wait: call it at least every `SUPPLY_TTL_MS`. */
  keep(place: SupplyPlace, wish: SupplyWish): Promise<void>;
  /** This batch has no further chunk to add here. */
  leave(place: SupplyPlace, batchId: string): Promise<void>;
  /** A chunk with this tag has been opened: work that comes now starts there. */
  opened(pool: PoolKey, objective: string, tag: number): Promise<void>;
}

/** A batch that has asked for its turn counts for so long. */
export const SUPPLY_TTL_MS = 15_000;

/** News between gateways; lost ones cost a poll. */
export type RowHint =
  | { readonly kind: 'opened' | 'ended'; readonly batchId: string; readonly firstPlace: number }
  | { readonly kind: 'abort'; readonly batchId: string };

export interface RowHints {
  publish(hint: RowHint): void;
  /** Also called with this process's own hints. */
  onHint(listener: (hint: RowHint) => void): () => void;
}

export interface ScannedRow {
  readonly record: RowRecord;
  readonly place: SegmentPlace;
}

/** How row records are written and found again. */
export interface RowRecords {
  encode(record: RowRecord, line: Uint8Array): readonly Uint8Array[];
  /** The whole records of a segment in order, up to a torn tail. */
  scan(store: BlobStore, key: string, signal: AbortSignal): AsyncIterable<ScannedRow>;
}
