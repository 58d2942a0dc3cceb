import type { Clock } from '../../core/clock.ts';
import { type KubeApi, KubeApiError, type KubeObject, kubePath } from '../../core/kubernetes.ts';
import type { Logger } from '../../core/logger.ts';
import type { Random } from '../../core/random.ts';
import { EventBook, type EventEntry, type EventNote, type EventSubject } from './event-book.ts';
import type { KubernetesMetrics } from './metrics.ts';

export interface EventRecorderOptions {
  readonly api: KubeApi;
  /** Who reports, such as "pilotlight-controller". */
  readonly component: string;
  /** Which of its processes. */
  readonly identity: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics?: KubernetesMetrics;
}

export interface EventRecorder {
  /** Returns at once and never throws. The same note again raises the count of its Event; a flood is cut off. */
  record(subject: EventSubject, note: EventNote): void;
  /** Writes what waits, for two seconds at most, and ends. */
  close(): Promise<void>;
}

const EVENTS = { group: '', version: 'v1', plural: 'events' } as const;
const REQUEST_TIMEOUT_MS = 5_000;
const CLOSE_TIMEOUT_MS = 2_000;
const MAX_NAME_CHARS = 200;

/** What an Event about this object refers to. The object must be whole: lists of built-in kinds leave out the kind. */
export function subjectOf({ apiVersion = '', kind = '', metadata }: KubeObject): EventSubject {
  const { namespace = 'default', name, uid } = metadata;
  return { apiVersion, kind, namespace, name, ...(uid === undefined ? {} : { uid }) };
}

/** Writes core/v1 Events, which `kubectl describe` and `kubectl get events` show. Needs create and patch on events. */
export function eventRecorder(options: EventRecorderOptions): EventRecorder {
  return new Recorder(options);
}

class Recorder implements EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #book = new EventBook();
  readonly #stop = new AbortController();
  #writing: Promise<void> | null = null;
  /** Ends the rest between two writes. */
  readonly #wake = new AbortController();

  constructor(options: EventRecorderOptions) {
    this.#options = options;
  }

  record(subject: EventSubject, note: EventNote): void {
    if (this.#wake.signal.aborted) return;
    const { clock, metrics } = this.#options;
    const result = this.#book.note(subject, note, { monotonicMs: clock.monotonicMs(), epochMs: clock.epochMs() });
    if (result !== 'new') metrics?.eventsTotal.inc({ outcome: result === 'repeated' ? 'aggregated' : result });
    this.#start();
  }

  async close(): Promise<void> {
    this.#wake.abort(new Error('closing'));
    const timer = setTimeout(() => this.#stop.abort(new Error('closing')), CLOSE_TIMEOUT_MS);
    try {
      await this.#writing;
      await this.#drain(Number.POSITIVE_INFINITY).catch(() => undefined);
    } finally {
      clearTimeout(timer);
    }
  }

  #start(): void {
    this.#writing ??= this.#write().then(
      () => {
        this.#writing = null;
      },
      (error: unknown) => {
        this.#writing = null;
        if (!this.#stop.signal.aborted) this.#options.log.error({ err: error }, 'kubernetes.events_failed');
      },
    );
  }

  /** Until nothing waits. */
  async #write(): Promise<void> {
    const { clock } = this.#options;
    for (;;) {
      await this.#drain(clock.monotonicMs());
      const nextMs = this.#book.nextDueMs();
      if (nextMs === null || this.#wake.signal.aborted) return;
      await clock.sleep(Math.max(0, nextMs - clock.monotonicMs()), this.#wake.signal).catch(() => undefined);
    }
  }

  async #drain(untilMs: number): Promise<void> {
    for (const entry of this.#book.due(untilMs)) await this.#send(entry);
  }

  async #send(entry: EventEntry): Promise<void> {
    const { clock, log, metrics } = this.#options;
    const { count } = entry;
    try {
      const name = await this.#put(entry, count);
      this.#book.written(entry, name, count, clock.monotonicMs());
      metrics?.eventsTotal.inc({ outcome: 'written' });
    } catch (error) {
      this.#stop.signal.throwIfAborted();
      const status = error instanceof KubeApiError ? error.status : 0;
      const isTried = this.#book.failed(entry, status === 0 || status === 429 || status >= 500, clock.monotonicMs());
      if (isTried) return;
      metrics?.eventsTotal.inc({ outcome: 'failed' });
      const remedy = status === 403 ? '; needs a Role with create and patch on events' : '';
      const why = `${error instanceof Error ? error.message : String(error)}${remedy}`;
      log.debug({ reason: entry.note.reason, why }, 'kubernetes.event_not_written');
    }
  }

  /** Returns the name of the Event. */
  async #put(entry: EventEntry, count: number): Promise<string> {
    if (entry.writtenAs !== null) {
      try {
        await this.#request('PATCH', entry.subject.namespace, entry.writtenAs, {
          count,
          lastTimestamp: rfc3339(entry.lastAtEpochMs),
        });
        return entry.writtenAs;
      } catch (error) {
        // Events live for an hour.
        if (!(error instanceof KubeApiError) || error.status !== 404) throw error;
      }
    }
    const name = this.#newName(entry);
    await this.#request('POST', entry.subject.namespace, undefined, this.#eventOf(entry, name, count));
    return name;
  }

  #eventOf({ subject, note, firstAtEpochMs, lastAtEpochMs }: EventEntry, name: string, count: number) {
    const { component, identity } = this.#options;
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name, namespace: subject.namespace },
      involvedObject: subject,
      type: note.type,
      reason: note.reason,
      message: note.message,
      count,
      firstTimestamp: rfc3339(firstAtEpochMs),
      lastTimestamp: rfc3339(lastAtEpochMs),
      source: { component, host: identity },
      reportingComponent: component,
      reportingInstance: identity,
    };
  }

  async #request(method: 'POST' | 'PATCH', namespace: string, name: string | undefined, body: unknown): Promise<void> {
    const path = kubePath(EVENTS, namespace, name);
    await this.#options.api.request({
      ...{ method, path, body, signal: this.#stop.signal, timeoutMs: REQUEST_TIMEOUT_MS },
      ...(method === 'PATCH' ? { patch: 'merge' as const } : {}),
    });
  }

  /** Unique enough: a clash is answered with 409 and costs one Event. */
  #newName({ subject }: EventEntry): string {
    const { clock, random } = this.#options;
    const unique = `${clock.epochMs().toString(16)}${Math.floor(random.next() * 0x1_0000_0000).toString(16)}`;
    return `${subject.name.slice(0, MAX_NAME_CHARS)}.${unique}`;
  }
}

function rfc3339(epochMs: number): string {
  return new Date(epochMs).toISOString().replace(/\.\d+Z$/, 'Z');
}
