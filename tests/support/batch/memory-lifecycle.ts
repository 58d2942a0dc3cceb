/* eslint-disable @typescript-eslint/require-await -- answers at once, through the same promises as the one in Redis */
import { createHash } from 'node:crypto';
import type { BatchHints } from '../../../src/batch/adapters/lifecycle/blob-journal.ts';
import type {
  BatchBoard,
  BatchIndex,
  BatchLeases,
  Claim,
  CreationClaims,
  IdPage,
  Lease,
} from '../../../src/batch/lifecycle/ports.ts';
import { openRows, removeAtEpochMs } from '../../../src/batch/policy/lifecycle/retention.ts';
import type { KeeperNews } from '../../../src/batch/policy/lifecycle/view.ts';
import type { BatchDoc } from '../../../src/batch/ports.ts';
import type { BatchStatus } from '../../../src/core/batches.ts';
import type { Clock } from '../../../src/core/clock.ts';
import type { PageRequest } from '../../../src/core/files.ts';

const DAY_MS = 24 * 3_600_000;

/** The index without Redis. `lose` as when Redis loses everything. */
export class MemoryBatchIndex implements BatchIndex {
  readonly #docs = new Map<string, BatchDoc>();
  readonly #retentionMs: number;
  #isComplete = false;

  constructor(retentionMs = 30 * DAY_MS) {
    this.#retentionMs = retentionMs;
  }

  lose(): void {
    this.#docs.clear();
    this.#isComplete = false;
  }

  async put(doc: BatchDoc): Promise<void> {
    const present = this.#docs.get(doc.id);
    if (!present || present.generation <= doc.generation) this.#docs.set(doc.id, doc);
  }

  async read(id: string): Promise<BatchDoc | null> {
    return this.#docs.get(id) ?? null;
  }

  async readMany(ids: readonly string[]): Promise<readonly (BatchDoc | null)[]> {
    return ids.map((id) => this.#docs.get(id) ?? null);
  }

  async list(
    tenant: string,
    { after, limit, status }: PageRequest & { readonly status: BatchStatus | null },
  ): Promise<IdPage | null> {
    const all = [...this.#docs.values()]
      .filter((doc) => doc.identity.tenant === tenant)
      .sort((a, b) => b.createdAtEpochMs - a.createdAtEpochMs || (a.id < b.id ? 1 : -1));
    const place = after === null ? -1 : all.findIndex((doc) => doc.id === after);
    if (after !== null && place < 0) return null;
    const wanted = all.slice(place + 1).filter((doc) => status === null || doc.status === status);
    return { ids: wanted.slice(0, limit).map((doc) => doc.id), hasMore: wanted.length > limit };
  }

  async open(tenant: string): Promise<readonly { readonly id: string; readonly rows: number }[]> {
    return [...this.#docs.values()].flatMap((doc) => {
      const rows = openRows(doc);
      return doc.identity.tenant === tenant && rows !== null ? [{ id: doc.id, rows }] : [];
    });
  }

  async live(): Promise<readonly string[]> {
    return [...this.#docs.values()].filter((doc) => !doc.settled).map((doc) => doc.id);
  }

  async removable(beforeEpochMs: number, limit: number): Promise<readonly string[]> {
    const due = [...this.#docs.values()].filter((doc) => {
      const atEpochMs = removeAtEpochMs(doc, this.#retentionMs);
      return atEpochMs !== null && atEpochMs <= beforeEpochMs;
    });
    return due.slice(0, limit).map((doc) => doc.id);
  }

  async known(ids: readonly string[]): Promise<readonly number[]> {
    return ids.map((id) => this.#docs.get(id)?.generation ?? 0);
  }

  async remove(id: string): Promise<void> {
    this.#docs.delete(id);
  }

  async isComplete(): Promise<boolean> {
    return this.#isComplete;
  }

  async markComplete(): Promise<void> {
    this.#isComplete = true;
  }
}

export class MemoryBatchLeases implements BatchLeases {
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #leases = new Map<string, { owner: string; token: number; untilMs: number }>();
  readonly #past = new Map<string, { token: number; isHeld: boolean }>();
  readonly #beats = new Map<string, number>();

  constructor(clock: Clock, leaseMs = 10_000) {
    this.#clock = clock;
    this.#leaseMs = leaseMs;
  }

  lose(): void {
    this.#leases.clear();
    this.#past.clear();
    this.#beats.clear();
  }

  async beat(owner: string): Promise<number> {
    const nowMs = this.#clock.epochMs();
    this.#beats.set(owner, nowMs);
    return [...this.#beats.values()].filter((atMs) => nowMs - atMs < this.#leaseMs).length;
  }

  async free(ids: readonly string[]): Promise<readonly string[]> {
    return ids.filter((id) => !this.#held(id));
  }

  async acquire(id: string, owner: string): Promise<Lease | null> {
    if (this.#held(id)) return null;
    const past = this.#past.get(id) ?? { token: 0, isHeld: false };
    const token = past.token + 1;
    this.#past.set(id, { token, isHeld: true });
    this.#leases.set(id, { owner, token, untilMs: this.#clock.epochMs() + this.#leaseMs });
    return { token, wasReleased: !past.isHeld };
  }

  async renew(id: string, owner: string, token: number): Promise<boolean> {
    const lease = this.#held(id);
    if (lease?.owner !== owner || lease.token !== token) return false;
    lease.untilMs = this.#clock.epochMs() + this.#leaseMs;
    return true;
  }

  async release(id: string, owner: string, token: number): Promise<void> {
    const lease = this.#held(id);
    if (lease?.owner !== owner || lease.token !== token) return;
    this.#leases.delete(id);
    this.#past.set(id, { token, isHeld: false });
  }

  #held(id: string): { owner: string; token: number; untilMs: number } | undefined {
    const lease = this.#leases.get(id);
    return lease && lease.untilMs > this.#clock.epochMs() ? lease : undefined;
  }
}

export class MemoryBatchBoard implements BatchBoard {
  readonly #news = new Map<string, KeeperNews>();
  readonly #running = new Map<string, Map<string, number>>();

  async tell(id: string, news: KeeperNews): Promise<void> {
    this.#news.set(id, news);
  }

  async tellRunning(id: string, owner: string, rows: number): Promise<void> {
    const owners = this.#running.get(id) ?? new Map<string, number>();
    this.#running.set(id, owners.set(owner, rows));
  }

  async read(id: string): Promise<{ readonly news: KeeperNews | null; readonly rowsRunning: number }> {
    const rowsRunning = [...(this.#running.get(id)?.values() ?? [])].reduce((sum, rows) => sum + rows, 0);
    return { news: this.#news.get(id) ?? null, rowsRunning };
  }
}

export class MemoryCreationClaims implements CreationClaims {
  readonly #clock: Clock;
  readonly #claims = new Map<string, { value: string; untilMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  lose(): void {
    this.#claims.clear();
  }

  async byKey(tenant: string, key: string, bodyHash: string, newId: string): Promise<Claim> {
    const name = `key ${tenant} ${this.keyHash(key)}`;
    if (this.#get(name) === null) this.#set(name, `${bodyHash} ${newId}`, DAY_MS);
    return (await this.find(tenant, key, bodyHash)) ?? { kind: 'conflict' };
  }

  async find(tenant: string, key: string, bodyHash: string): Promise<Claim | null> {
    const [hash, id = ''] = this.#get(`key ${tenant} ${this.keyHash(key)}`)?.split(' ') ?? [];
    if (hash === undefined) return null;
    return hash === bodyHash ? { kind: 'id', id } : { kind: 'conflict' };
  }

  async byBody(tenant: string, bodyHash: string, isRetry: boolean, newId: string): Promise<string> {
    const name = `body ${tenant} ${bodyHash}`;
    const [by, id] = this.#get(name)?.split(' ') ?? [];
    if (isRetry && id !== undefined) return id;
    const mine = !isRetry && by === 'r' && id !== undefined ? id : newId;
    this.#set(name, `${isRetry ? 'r' : 'f'} ${mine}`, 600_000);
    return mine;
  }

  keyHash(key: string): string {
    return createHash('sha256').update(key).digest('hex');
  }

  async restore({ id, identity, repetition, createdAtEpochMs }: BatchDoc, nowEpochMs: number): Promise<void> {
    if (!repetition) return;
    const { keyHash, bodyHash } = repetition;
    const leftMs = createdAtEpochMs + (keyHash === null ? 600_000 : DAY_MS) - nowEpochMs;
    const name = keyHash === null ? `body ${identity.tenant} ${bodyHash}` : `key ${identity.tenant} ${keyHash}`;
    if (leftMs > 0 && this.#get(name) === null) this.#set(name, `${keyHash === null ? 'f' : bodyHash} ${id}`, leftMs);
  }

  #get(name: string): string | null {
    const claim = this.#claims.get(name);
    return claim && claim.untilMs > this.#clock.epochMs() ? claim.value : null;
  }

  #set(name: string, value: string, lifetimeMs: number): void {
    this.#claims.set(name, { value, untilMs: this.#clock.epochMs() + lifetimeMs });
  }
}

/** Hints between the processes of one test. */
export class MemoryHints implements BatchHints {
  readonly #listeners = new Set<(id: string) => void>();

  publish(id: string): void {
    for (const listener of this.#listeners) listener(id);
  }

  onHint(listener: (id: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
