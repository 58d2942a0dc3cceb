/** What an Event is about; `kubectl describe` finds it by uid. */
export interface EventSubject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid?: string;
}

export interface EventNote {
  readonly type: 'Normal' | 'Warning';
  /** CamelCase, one of few: it is what people filter by. */
  readonly reason: string;
  readonly message: string;
}

/** The same note about the same object, however often. */
export interface EventEntry {
  readonly key: string;
  readonly subject: EventSubject;
  readonly note: EventNote;
  readonly firstAtEpochMs: number;
  lastAtEpochMs: number;
  count: number;
  /** Name of its Event on the API server; null = not written yet. */
  writtenAs: string | null;
  /** Times noted that the API server does not know of. */
  unwritten: number;
  notBeforeMs: number;
  attempts: number;
}

export type NoteResult = 'new' | 'repeated' | 'limited' | 'dropped';

/** As client-go's spam filter (tools/record): 25 at once about one object, then one in five minutes. */
const BURST = 25;
const REFILL_MS = 300_000;
/** Repeats inside this are one write. */
const REPEAT_EVERY_MS = 10_000;
/** Entries and objects remembered; the oldest go first. Some 1 kB each. */
const MAX_ENTRIES = 2_000;
/** Entries that wait for their first write. */
const MAX_WAITING = 500;
const RETRY_AFTER_MS = 5_000;
const MAX_ATTEMPTS = 3;
const MAX_MESSAGE_CHARS = 1_000;

/** Which Events are to be written when: repeats are counted, floods are cut, memory is bounded. Pure. */
export class EventBook {
  readonly #entries = new Map<string, EventEntry>();
  readonly #buckets = new Map<string, { tokens: number; atMs: number }>();
  readonly #waiting = new Set<EventEntry>();

  note(subject: EventSubject, note: EventNote, now: { monotonicMs: number; epochMs: number }): NoteResult {
    const object = [subject.kind, subject.namespace, subject.name, subject.uid ?? ''].join('/');
    const message = note.message.slice(0, MAX_MESSAGE_CHARS);
    const key = JSON.stringify([object, note.type, note.reason, message]);
    const known = this.#entries.get(key);
    if (!known && this.#waiting.size >= MAX_WAITING) return 'dropped';
    const entry = known ?? {
      ...{ key, subject, note: { ...note, message }, firstAtEpochMs: now.epochMs, lastAtEpochMs: now.epochMs },
      ...{ count: 0, writtenAs: null, unwritten: 0, notBeforeMs: now.monotonicMs, attempts: 0 },
    };
    entry.count += 1;
    entry.unwritten += 1;
    entry.lastAtEpochMs = now.epochMs;
    remember(this.#entries, key, entry);
    if (this.#waiting.has(entry)) return 'repeated';
    // A repeat that is held back now is counted with the next one that is not.
    if (!this.#takeToken(object, now.monotonicMs)) return 'limited';
    this.#waiting.add(entry);
    return known ? 'repeated' : 'new';
  }

  /** Entries to write now. */
  due(monotonicMs: number): EventEntry[] {
    return [...this.#waiting].filter(({ notBeforeMs }) => notBeforeMs <= monotonicMs);
  }

  /** When the next entry is due; null = none waits. */
  nextDueMs(): number | null {
    const times = [...this.#waiting].map(({ notBeforeMs }) => notBeforeMs);
    return times.length === 0 ? null : Math.min(...times);
  }

  /** The API server has this entry with `count`. */
  written(entry: EventEntry, as: string, count: number, monotonicMs: number): void {
    entry.writtenAs = as;
    entry.unwritten = entry.count - count;
    entry.attempts = 0;
    entry.notBeforeMs = monotonicMs + REPEAT_EVERY_MS;
    if (entry.unwritten === 0) this.#waiting.delete(entry);
  }

  /** It was not written. Returns whether it is tried again. */
  failed(entry: EventEntry, canRetry: boolean, monotonicMs: number): boolean {
    entry.attempts += 1;
    entry.notBeforeMs = monotonicMs + RETRY_AFTER_MS * entry.attempts;
    if (canRetry && entry.attempts < MAX_ATTEMPTS) return true;
    entry.attempts = 0;
    this.#waiting.delete(entry);
    return false;
  }

  #takeToken(object: string, nowMs: number): boolean {
    const { tokens, atMs } = this.#buckets.get(object) ?? { tokens: BURST, atMs: nowMs };
    const now = Math.min(BURST, tokens + (nowMs - atMs) / REFILL_MS);
    const isAllowed = now >= 1;
    remember(this.#buckets, object, { tokens: isAllowed ? now - 1 : now, atMs: nowMs });
    return isAllowed;
  }
}

function remember<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key);
  map.set(key, value);
  const oldest = map.size > MAX_ENTRIES ? map.keys().next().value : undefined;
  if (oldest !== undefined) map.delete(oldest);
}
