/* eslint-disable @typescript-eslint/require-await -- a ledger that is down has to reject, not throw */
import type { Redis } from 'ioredis';
import type { BulkDemand, Reservation, StoredLedger, StoredOutcome, StoredTicket } from '../../src/core/live-order.ts';
import type { Outcome } from '../../src/core/outcome.ts';

interface Entry {
  ticket: StoredTicket;
  isConfirmed: boolean;
}

/** The stored part of a ledger in memory: enough to test its users, without order or slots. */
export class ToyLedger implements StoredLedger {
  readonly pool: string;
  readonly entries = new Map<string, Entry>();
  readonly settled = new Map<string, StoredOutcome>();
  readonly bulks = new Map<string, BulkDemand>();
  /** Settled and announced, not acknowledged: id to objective, oldest first. */
  readonly announced = new Map<string, string>();
  nowEpochMs = () => 0;
  maxRequests = Number.POSITIVE_INFINITY;
  /** Throws instead of answering, as a ledger whose Redis is away. */
  isDown = false;
  #windows = new Map<string, number>();
  #windowListeners = new Set<() => void>();
  #incarnationListeners = new Set<(incarnation: string) => void>();

  constructor(pool = 'default/chat') {
    this.pool = pool;
  }

  /** Ids that are counted as demand. */
  get demand(): string[] {
    return [...this.entries.keys()];
  }

  setWindows(windows: Record<string, number>): void {
    this.#windows = new Map(Object.entries(windows));
    for (const listener of this.#windowListeners) listener();
  }

  /** Everything Redis knew is gone. */
  lose(): void {
    for (const known of [this.entries, this.settled, this.bulks, this.announced]) known.clear();
    for (const listener of this.#incarnationListeners) listener('another');
  }

  async reserve(ticket: StoredTicket): Promise<Reservation> {
    this.#reach();
    if (this.entries.size >= this.maxRequests) {
      return { kind: 'rejected', reason: 'queue_full', usedPercent: 100, limit: `maxRequests ${this.maxRequests}` };
    }
    this.entries.set(ticket.id, { ticket, isConfirmed: false });
    return { kind: 'reserved' };
  }

  async confirm(ticket: StoredTicket): Promise<void> {
    this.#reach();
    if (!this.settled.has(ticket.id)) this.entries.set(ticket.id, { ticket, isConfirmed: true });
  }

  async forget(id: string): Promise<void> {
    this.#reach();
    this.entries.delete(id);
  }

  async settle(
    id: string,
    objective: string,
    outcome: Outcome,
    recordRef: string | null,
    { announced = false }: { readonly announced?: boolean } = {},
  ): Promise<{ kind: 'settled' } | { kind: 'already'; stored: StoredOutcome }> {
    this.#reach();
    const stored = this.settled.get(id);
    if (stored) return { kind: 'already', stored };
    this.settled.set(id, { outcome, recordRef, atEpochMs: this.nowEpochMs() });
    if (announced || this.entries.get(id)?.ticket.announced) this.announced.set(id, objective);
    this.entries.delete(id);
    return { kind: 'settled' };
  }

  async outcomes(ids: readonly string[]): Promise<readonly (StoredOutcome | null)[]> {
    this.#reach();
    return ids.map((id) => this.settled.get(id) ?? null);
  }

  async overdue(limit: number): Promise<readonly { id: string; objective: string }[]> {
    this.#reach();
    return [...this.entries.values()]
      .map(({ ticket }) => ticket)
      .filter(({ deadlineEpochMs }) => deadlineEpochMs !== null && deadlineEpochMs <= this.nowEpochMs())
      .slice(0, limit);
  }

  async setBulk(demand: BulkDemand): Promise<void> {
    this.#reach();
    if (demand.requests > 0) this.bulks.set(demand.id, demand);
    else this.bulks.delete(demand.id);
  }

  async outbox(limit: number): Promise<readonly { id: string; objective: string }[]> {
    this.#reach();
    return [...this.announced].slice(0, limit).map(([id, objective]) => ({ id, objective }));
  }

  async ackOutbox(ids: readonly string[]): Promise<void> {
    this.#reach();
    for (const id of ids) this.announced.delete(id);
  }

  windows(): ReadonlyMap<string, number> {
    return this.#windows;
  }

  onWindows(listener: () => void): () => void {
    this.#windowListeners.add(listener);
    return () => this.#windowListeners.delete(listener);
  }

  onIncarnation(listener: (incarnation: string) => void): () => void {
    this.#incarnationListeners.add(listener);
    return () => this.#incarnationListeners.delete(listener);
  }

  #reach(): void {
    if (this.isDown) throw new Error('the ledger is away');
  }
}

/** The same with outcomes in Redis, so that several processes share them. */
export class ToyRedisLedger extends ToyLedger {
  readonly #client: Redis;
  readonly #key: string;

  constructor(client: Redis, root: string, pool: string) {
    super(pool);
    this.#client = client;
    this.#key = `${root}:toy-outcomes`;
  }

  override async settle(
    id: string,
    objective: string,
    outcome: Outcome,
    recordRef: string | null,
    options: { readonly announced?: boolean } = {},
  ): Promise<{ kind: 'settled' } | { kind: 'already'; stored: StoredOutcome }> {
    const stored: StoredOutcome = { outcome, recordRef, atEpochMs: Date.now() };
    const isFirst = await this.#client.hsetnx(this.#key, id, JSON.stringify(stored));
    if (isFirst) return super.settle(id, objective, outcome, recordRef, options);
    return { kind: 'already', stored: JSON.parse((await this.#client.hget(this.#key, id)) ?? '{}') as StoredOutcome };
  }

  override async outcomes(ids: readonly string[]): Promise<readonly (StoredOutcome | null)[]> {
    if (ids.length === 0) return [];
    const values = await this.#client.hmget(this.#key, ...ids);
    return values.map((value) => (value === null ? null : (JSON.parse(value) as StoredOutcome)));
  }
}
