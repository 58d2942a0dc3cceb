import type { BatchStatus } from '../../core/batches.ts';
import type { PilotlightError } from '../../core/errors.ts';
import type { PageRequest } from '../../core/files.ts';
import type { Identity } from '../../core/identity.ts';
import type { PoolKey } from '../../core/objects.ts';
import type { RateQuotas } from '../../core/tenants.ts';
import type { PoolState } from '../policy/lifecycle/hold.ts';
import type { KeeperNews } from '../policy/lifecycle/view.ts';
import type { BatchDoc, BatchJournal, RowGroup } from '../ports.ts';

/** The journal as the lifecycle needs it: what its index missed is made up for. */
export interface IndexedJournal extends BatchJournal {
  /** As `read`, from the store itself. */
  readStored(id: string): Promise<BatchDoc | null>;
  /** Newest generation of every batch of the store, without reading them. */
  generations(signal: AbortSignal): AsyncIterable<{ readonly id: string; readonly generation: number }>;
  /** Tells the index what it could not be told when it was written. Throws while it still cannot. */
  catchUp(): Promise<void>;
}

export interface IdPage {
  readonly ids: readonly string[];
  readonly hasMore: boolean;
}

/**
 * Which batches there are, in Redis: an index of the journal, rebuilt from it. An older generation never replaces a newer
 * one. Failures are thrown as `queue_unavailable`.
 */
export interface BatchIndex {
  put(doc: BatchDoc): Promise<void>;
  /** The copy of the newest generation that it was told; null = it has none. */
  read(id: string): Promise<BatchDoc | null>;
  readMany(ids: readonly string[]): Promise<readonly (BatchDoc | null)[]>;
  /** Newest first. Null = there is no batch `after` of this tenant. */
  list(tenant: string, page: PageRequest & { readonly status: BatchStatus | null }): Promise<IdPage | null>;
  /** Unfinished batches of a tenant, with their rows that are known. */
  open(tenant: string): Promise<readonly { readonly id: string; readonly rows: number }[]>;
  /** Batches that need a keeper. */
  live(): Promise<readonly string[]>;
  /** Batches that may be removed by then, at most `limit`. */
  removable(beforeEpochMs: number, limit: number): Promise<readonly string[]>;
  /** Generation that it knows of each; 0 = none. */
  known(ids: readonly string[]): Promise<readonly number[]>;
  remove(id: string): Promise<void>;
  /** Whether it has every batch of the store. False after Redis lost its data. */
  isComplete(): Promise<boolean>;
  markComplete(): Promise<void>;
}

export interface Lease {
  /** Rises with every acquisition, as long as Redis keeps its data. */
  readonly token: number;
  /** The keeper before gave it back, or there was none: no crash is to be repaired. */
  readonly wasReleased: boolean;
}

/** Who keeps which batch. A lease is a hint against double work; what must not happen twice is guarded by generations. */
export interface BatchLeases {
  /** This keeper lives; returns how many do. */
  beat(owner: string): Promise<number>;
  /** Those of the ids that nobody keeps. */
  free(ids: readonly string[]): Promise<readonly string[]>;
  /** Null = somebody else has it. */
  acquire(id: string, owner: string): Promise<Lease | null>;
  /** False = it is somebody else's, or nobody's, by now. */
  renew(id: string, owner: string, token: number): Promise<boolean>;
  release(id: string, owner: string, token: number): Promise<void>;
}

/** How long a lease lasts without renewal, and a keeper counts as alive without a beat. */
export const LEASE_MS = 10_000;

/** What is told of a batch while it is worked on; all of it may be lost. */
export interface BatchBoard {
  tell(id: string, news: KeeperNews): Promise<void>;
  /** Rows of it that `owner` runs. */
  tellRunning(id: string, owner: string, rows: number): Promise<void>;
  read(id: string): Promise<{ readonly news: KeeperNews | null; readonly rowsRunning: number }>;
}

export type Claim =
  /** The batch that this call is about: new, or made by a call of the same meaning. */
  { readonly kind: 'id'; readonly id: string } | { readonly kind: 'conflict' };

/** Which calls mean the same batch. Failures are thrown as `queue_unavailable`. */
export interface CreationClaims {
  /** By an Idempotency-Key, for 24 h. `conflict`: it was used with another body. */
  byKey(tenant: string, key: string, bodyHash: string, newId: string): Promise<Claim>;
  /** The same without claiming it; null = this key was not used. */
  find(tenant: string, key: string, bodyHash: string): Promise<Claim | null>;
  /** By the body, for 10 minutes. Only retries of an SDK meet an earlier batch. */
  byBody(tenant: string, bodyHash: string, isRetry: boolean, newId: string): Promise<string>;
  /** How a key is kept in a document. */
  keyHash(key: string): string;
  /** After a loss of Redis: what this batch still answers for. */
  restore(doc: BatchDoc, nowEpochMs: number): Promise<void>;
}

export interface BatchIds {
  /** "batch_…" of 128 random bits. */
  next(): string;
  /** The same for the same parts: "<prefix>_…". */
  derived(prefix: 'batch' | 'evt', ...parts: readonly string[]): string;
}

/** What the objects and the autoscaler say, as far as batches ask. */
export interface BatchWorld {
  /** Why this caller may not use this objective: in these pools, or (null) in any. Null = it may. */
  refuseObjective(identity: Identity, objective: string, pools: readonly PoolKey[] | null): PilotlightError | null;
  poolState(pool: PoolKey): PoolState;
  /** What is left of a tenant's rates; absent = nobody knows of any. */
  rates?(tenant: string): ReturnType<RateQuotas['state']>;
  /** Milliseconds that these rows would take from now on, as far as rates are known; null = nobody can tell. */
  forecastMs(groups: readonly RowGroup[]): number | null;
}

export interface LifecycleSettings {
  readonly endpoints: readonly string[];
  readonly windows: readonly string[];
  readonly batchFileBytes: number;
  readonly tenantRows: number;
  readonly tenantBatches: number;
  /** Objective of batches that name none; null = the tenant's or the pool's. */
  readonly objective: string | null;
  readonly cancelGraceMs: number;
  readonly fileRetentionMs: number;
}

/** Where validation writes the rows of a batch; each try has a place of its own, and the document names the one that counts. */
export function planKey(id: string, attempt: string): string {
  return `${batchPrefix(id)}plan-${attempt}`;
}

/** Line numbers of the rows that did not complete, written before the end is published; see `BatchDoc.onlyRowsKey`. */
export function unfinishedRowsKey(id: string): string {
  return `${batchPrefix(id)}unfinished`;
}

/** Line numbers of the rows that a retry runs: a copy, so that it does not depend on the batch before. */
export function onlyRowsKey(id: string): string {
  return `${batchPrefix(id)}only`;
}

/** Everything of a batch but its journal. */
export function batchPrefix(id: string): string {
  return `batches/${id}/`;
}
