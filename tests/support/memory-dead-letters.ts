/* eslint-disable @typescript-eslint/require-await -- an index that is down has to reject, not throw */
import type { Clock } from '../../src/core/clock.ts';
import type { DeadEntry, DeadLetterIndex } from '../../src/queue/jobs/ports.ts';

/** Dead letters of one pool in memory. Contract: tests/contract/dead-letter-index.test.ts. */
export class MemoryDeadLetters implements DeadLetterIndex {
  readonly entries = new Map<string, DeadEntry>();
  /** Rejects instead of answering, as when Redis is away. */
  isDown = false;
  readonly #clock: Pick<Clock, 'epochMs'>;
  readonly #retentionMs: number;

  constructor({ clock, retentionMs }: { readonly clock: Pick<Clock, 'epochMs'>; readonly retentionMs: number }) {
    this.#clock = clock;
    this.#retentionMs = retentionMs;
  }

  async add(entries: readonly DeadEntry[]): Promise<void> {
    this.#reach();
    for (const entry of entries) this.entries.set(`${entry.objective}|${entry.id}`, entry);
  }

  async remove(entries: readonly Omit<DeadEntry, 'endedAtEpochMs'>[]): Promise<void> {
    this.#reach();
    for (const { objective, id } of entries) this.entries.delete(`${objective}|${id}`);
  }

  async has({ objective, id }: Omit<DeadEntry, 'endedAtEpochMs'>): Promise<boolean> {
    this.#reach();
    return this.entries.has(`${objective}|${id}`);
  }

  async objectives(): Promise<readonly string[]> {
    this.#reach();
    return [...new Set([...this.entries.values()].map(({ objective }) => objective))].sort();
  }

  async count(objective: string): Promise<number> {
    return this.#of(objective).length;
  }

  async page(objective: string, after: Omit<DeadEntry, 'objective'> | null, limit: number): Promise<DeadEntry[]> {
    const all = this.#of(objective);
    if (after === null) return all.slice(0, limit);
    const place = all.findIndex(({ id }) => id === after.id);
    const from = place >= 0 ? place + 1 : all.findIndex(({ endedAtEpochMs }) => endedAtEpochMs >= after.endedAtEpochMs);
    return from < 0 ? [] : all.slice(from, from + limit);
  }

  #of(objective: string): DeadEntry[] {
    this.#reach();
    const oldestEpochMs = this.#clock.epochMs() - this.#retentionMs;
    return [...this.entries.values()]
      .filter((entry) => entry.objective === objective && entry.endedAtEpochMs >= oldestEpochMs)
      .sort((a, b) => a.endedAtEpochMs - b.endedAtEpochMs || (a.id < b.id ? -1 : 1));
  }

  #reach(): void {
    if (this.isDown) throw new Error('Redis is away');
  }
}
