import type { JobEvent, JobEvents, JobEventsAnswer } from '../../../../src/core/job-events.ts';

interface Log {
  base: number;
  events: JobEvent[];
}

/** Logs of streamed jobs in memory, written by a test. */
export class FakeJobEvents implements JobEvents {
  readonly #logs = new Map<string, Log>();
  readonly #listeners = new Set<() => void>();

  /** Listeners of all jobs now. */
  get readers(): number {
    return this.#listeners.size;
  }

  add(id: string, ...events: readonly JobEvent[]): void {
    this.#logOf(id).events.push(...events);
    this.#tell();
  }

  /** Another execution begins. */
  restart(id: string): void {
    const log = this.#logOf(id);
    if (log.events.length > 0) this.#logs.set(id, { base: log.base + log.events.length + 1, events: [] });
    this.#tell();
  }

  forget(id: string): void {
    this.#logs.delete(id);
    this.#tell();
  }

  read(id: string, from: number | null, limit: number): Promise<JobEventsAnswer> {
    const log = this.#logs.get(id);
    if (!log) return Promise.resolve({ kind: 'none' });
    const index = from ?? log.base;
    const next = log.base + log.events.length;
    if (index < log.base || index > next) return Promise.resolve({ kind: 'gone', next });
    const first = index - log.base;
    return Promise.resolve({ kind: 'page', index, events: log.events.slice(first, first + limit) });
  }

  onNews(_id: string, listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #logOf(id: string): Log {
    const log = this.#logs.get(id) ?? { base: 0, events: [] };
    this.#logs.set(id, log);
    return log;
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
