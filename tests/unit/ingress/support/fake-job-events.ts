import type { JobEvent, JobEvents, JobEventsAnswer } from '../../../../src/core/job-events.ts';
import type { JobEventLog, JobEventWriter } from '../../../../src/queue/jobs/event-log.ts';

interface Log {
  base: number;
  events: JobEvent[];
  writer: JobEventWriter | null;
}

/** Logs of streamed jobs in memory. */
export class FakeJobEvents implements JobEvents, JobEventLog {
  readonly #logs = new Map<string, Log>();
  readonly #listeners = new Set<() => void>();

  /** Listeners of all jobs now. */
  get readers(): number {
    return this.#listeners.size;
  }

  begin(id: string): Promise<JobEventWriter> {
    const known = this.#logs.get(id);
    const written = known?.events.length ?? 0;
    const base = (known?.base ?? 0) + (written > 0 ? written + 1 : 0);
    const log: Log = { base, events: [], writer: null };
    const writer: JobEventWriter = {
      append: (events) => {
        if (this.#logs.get(id)?.writer === writer) log.events.push(...events);
        this.#tell();
        return Promise.resolve();
      },
      end: () => Promise.resolve(),
    };
    log.writer = writer;
    this.#logs.set(id, log);
    this.#tell();
    return Promise.resolve(writer);
  }

  /** Events of the present execution. */
  async add(id: string, ...events: readonly JobEvent[]): Promise<void> {
    const writer = this.#logs.get(id)?.writer ?? (await this.begin(id));
    await writer.append(events);
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

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
