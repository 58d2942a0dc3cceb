import type { Clock } from '../../../core/clock.ts';
import { asError } from '../../../core/errors.ts';
import {
  type KubeApi,
  KubeApiError,
  type KubeObject,
  kubePath,
  type Leadership,
  type ObjectFeed,
} from '../../../core/kubernetes.ts';
import type { Logger } from '../../../core/logger.ts';
import { Nap } from '../../nap.ts';
import type { PolicyMoment } from '../../policy/policy-events.ts';
import { EventGate, type EventSink, eventObject } from './events.ts';
import type { StatusChange } from '../../policy/policy-status.ts';
import type { StatusKind, WantedStatus } from './status-kinds.ts';
import { WriteBudget } from './write-budget.ts';

export interface PolicyStatusWriterDeps {
  readonly api: KubeApi;
  readonly kinds: readonly StatusKind[];
  readonly leadership: Leadership;
  readonly events: EventSink;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Counters of one object are written at most this often, and so is what is only said in other words. */
const DRIFT_EVERY_MS = 10_000;
const WORDS_EVERY_MS = 60_000;
/** What matters is written at once, though not more often than this: a feed needs a moment to show what was written. */
const LEAST_GAP_MS = 250;
/** Every object is looked at so often without news of it: for what changes with time alone. */
const LOOK_EVERY_MS = 3_000;
const EVERY_MS: Readonly<Record<StatusChange, number>> = {
  none: Number.POSITIVE_INFINITY,
  words: WORDS_EVERY_MS,
  drift: DRIFT_EVERY_MS,
  material: LEAST_GAP_MS,
};
/** Looks that follow each other closer than this are one. */
const LOOK_GAP_MS = 100;
/** Writes at once, over all objects. */
const MOST_AT_ONCE = 8;
const WRITE_TIMEOUT_MS = 5_000;
const FIRST_RETRY_MS = 1_000;
/** While the API server does not answer or is busy; while it refuses, until somebody mends it. */
const LONGEST_RETRY_MS = 15_000;
const LONGEST_REFUSED_MS = 60_000;
const CONFLICT_RETRY_MS = 250;

/** What is remembered of one object. */
interface Remembered {
  /** As the API server answered the last write; counts while the feed still shows `over`. */
  readonly written: KubeObject | null;
  readonly over: string | null;
  readonly moment: PolicyMoment | null;
  /** Monotonic. */
  readonly wroteAtMs: number;
  readonly retryAtMs: number;
  readonly failures: number;
}

const nothingRemembered: Remembered = {
  ...{ written: null, over: null, moment: null },
  ...{ wroteAtMs: Number.NEGATIVE_INFINITY, retryAtMs: Number.NEGATIVE_INFINITY, failures: 0 },
};

/** Names an object of any kind. */
export interface ObjectName {
  readonly namespace: string;
  readonly name: string;
}

interface Candidate {
  readonly key: string;
  readonly feed: ObjectFeed;
  readonly object: KubeObject;
  readonly wanted: WantedStatus;
}

/**
 * Keeps the status of policies true while this process leads: what matters at once, the rest at most every 10 s, and
 * nothing that is there already. Each write names the version that it changes, so that one of a leader of before meets a
 * conflict instead of overwriting its successor. A write that fails is tried again with a back-off.
 */
export class PolicyStatusWriter {
  readonly #deps: PolicyStatusWriterDeps;
  readonly #nap: Nap;
  readonly #gate: EventGate;
  readonly #budget: WriteBudget;
  readonly #stopped = new AbortController();
  readonly #problems = new Map<string, string>();
  #remembered = new Map<string, Remembered>();
  /** Objects of which there is news, by name. */
  readonly #touched = new Map<string, ObjectName>();
  /** Objects whose status is not what it should be, as far as they were looked at; written when they are due. */
  readonly #open = new Map<string, Candidate>();
  #lookAtAllMs = Number.NEGATIVE_INFINITY;
  #running: Promise<void> = Promise.resolve();
  #unlisten: readonly (() => void)[] = [];

  constructor(deps: PolicyStatusWriterDeps) {
    this.#deps = deps;
    this.#nap = new Nap(deps.clock);
    this.#gate = new EventGate(deps.clock, deps.events);
    this.#budget = new WriteBudget(deps.clock);
  }

  start(): void {
    const { kinds, leadership } = this.#deps;
    this.#unlisten = [
      leadership.onChange(() => this.touch()),
      ...kinds.map(({ feed }) => feed.onChange((object) => this.touch(object === null ? undefined : nameOf(object)))),
    ];
    this.#running = this.#run();
  }

  /** Something that the status of this object shows has changed; without a name: of any. */
  touch(object?: ObjectName): void {
    if (object === undefined) this.#lookAtAllMs = Number.NEGATIVE_INFINITY;
    else this.#touched.set(`${object.namespace}/${object.name}`, object);
    this.#nap.wake();
  }

  /** Why statuses are not written, one sentence each with the remedy. */
  problems(): readonly string[] {
    return [...this.#problems.values()];
  }

  async stop(): Promise<void> {
    for (const unlisten of this.#unlisten) unlisten();
    this.#stopped.abort();
    this.#nap.wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#deps;
    while (!this.#isStopped()) {
      const startedMs = clock.monotonicMs();
      const nextMs = await this.#turn().catch((thrown: unknown) => {
        log.error({ error: asError(thrown).message }, 'status.turn_failed');
        return LOOK_EVERY_MS;
      });
      await this.#nap.take(Math.max(1, nextMs));
      const gapMs = LOOK_GAP_MS - (clock.monotonicMs() - startedMs);
      if (gapMs > 0 && !this.#isStopped()) await clock.sleep(gapMs, this.#stopped.signal).catch(() => undefined);
    }
  }

  #isStopped(): boolean {
    return this.#stopped.signal.aborted;
  }

  /** Looks at the objects of which there is news, or at all, and writes what is due. Returns when to look again. */
  async #turn(): Promise<number> {
    if (!this.#deps.leadership.isLeader()) {
      this.#remembered.clear();
      this.#problems.clear();
      this.#open.clear();
      this.#touched.clear();
      this.#lookAtAllMs = Number.NEGATIVE_INFINITY;
      return LOOK_EVERY_MS;
    }
    const nowMs = this.#deps.clock.monotonicMs();
    if (nowMs >= this.#lookAtAllMs) this.#lookAtAll(nowMs);
    else this.#lookAtNews(nowMs);
    const due = this.#due(nowMs).sort((a, b) => this.#byUrgency(a, b));
    const granted = due.slice(0, this.#budget.take(due.length));
    for (let from = 0; from < granted.length; from += MOST_AT_ONCE) {
      const batch = granted.slice(from, from + MOST_AT_ONCE).map((candidate) => this.#write(candidate));
      // The others would wait for the same deadline, one batch after the other.
      if ((await Promise.all(batch)).includes('unreachable')) return FIRST_RETRY_MS;
    }
    const nextMs = [...this.#open.values()].map((candidate) => this.#dueAtMs(candidate));
    return Math.min(this.#lookAtAllMs, ...nextMs) - nowMs;
  }

  #due(nowMs: number): Candidate[] {
    return [...this.#open.values()].filter((candidate) => this.#dueAtMs(candidate) <= nowMs);
  }

  /** Also forgets objects that are gone. */
  #lookAtAll(nowMs: number): void {
    this.#lookAtAllMs = nowMs + LOOK_EVERY_MS;
    this.#touched.clear();
    const known = new Set<string>();
    for (const kind of this.#deps.kinds) {
      for (const object of kind.feed.list()) {
        known.add(keyOf(kind.feed, object));
        this.#look(kind, object);
      }
    }
    for (const key of this.#remembered.keys()) if (!known.has(key)) this.#forget(key);
  }

  /** What is due is looked at again: it may have changed since. */
  #lookAtNews(nowMs: number): void {
    for (const { key, feed, object } of this.#due(nowMs)) {
      const name = nameOf(object);
      if (feed.get(name.namespace, name.name) === undefined) this.#forget(key);
      this.#touched.set(`${name.namespace}/${name.name}`, name);
    }
    const touched = [...this.#touched.values()];
    this.#touched.clear();
    for (const kind of this.#deps.kinds) {
      for (const { namespace, name } of touched) {
        const object = kind.feed.get(namespace, name);
        if (object !== undefined) this.#look(kind, object);
      }
    }
  }

  /** Finds out whether its status is what it should be, and tells Events on the way. */
  #look(kind: StatusKind, object: KubeObject): void {
    const { feed } = kind;
    const key = keyOf(feed, object);
    const known = this.#remembered.get(key) ?? nothingRemembered;
    const wanted = kind.want(object, latestOf(object, known).status, known.moment, this.#deps.clock.epochMs());
    if (wanted === null || object.metadata.deletionTimestamp !== undefined) {
      this.#forget(key);
      return;
    }
    for (const event of wanted.events) this.#gate.emit(eventObject(feed.resource, object), event);
    this.#remembered.set(key, { ...known, moment: wanted.moment });
    if (wanted.change === 'none') this.#open.delete(key);
    else this.#open.set(key, { key, feed, object, wanted });
  }

  #forget(key: string): void {
    this.#remembered.delete(key);
    this.#open.delete(key);
    this.#problems.delete(key);
  }

  #dueAtMs({ key, wanted }: Candidate): number {
    const { wroteAtMs, retryAtMs } = this.#remembered.get(key) ?? nothingRemembered;
    return Math.max(retryAtMs, wroteAtMs + EVERY_MS[wanted.change]);
  }

  /** What matters first, then who has waited longest. */
  #byUrgency(a: Candidate, b: Candidate): number {
    if (a.wanted.change !== b.wanted.change) return a.wanted.change === 'material' ? -1 : 1;
    const wroteAtMs = ({ key }: Candidate): number => (this.#remembered.get(key) ?? nothingRemembered).wroteAtMs;
    return wroteAtMs(a) < wroteAtMs(b) ? -1 : 1;
  }

  async #write({ key, feed, object, wanted }: Candidate): Promise<'done' | 'failed' | 'unreachable'> {
    const { api, leadership, clock } = this.#deps;
    const known = this.#remembered.get(key) ?? nothingRemembered;
    if (!leadership.isLeader() || this.#isStopped()) return 'done';
    const { namespace = null, name } = object.metadata;
    const { resourceVersion } = latestOf(object, known).metadata;
    try {
      const written = await api.request({
        method: 'PATCH',
        patch: 'merge',
        path: kubePath(feed.resource, namespace, name, 'status'),
        query: { fieldManager: 'pilotlight-status' },
        body: { metadata: { resourceVersion }, status: wanted.patch },
        signal: this.#stopped.signal,
        timeoutMs: WRITE_TIMEOUT_MS,
      });
      this.#remembered.set(key, {
        ...known,
        written: written as KubeObject,
        over: object.metadata.resourceVersion ?? null,
        ...{ wroteAtMs: clock.monotonicMs(), retryAtMs: Number.NEGATIVE_INFINITY, failures: 0 },
      });
      this.#problems.delete(key);
      this.#open.delete(key);
      return 'done';
    } catch (thrown) {
      this.#failed({ key, feed, object, known, thrown });
      return thrown instanceof KubeApiError && thrown.status === 0 ? 'unreachable' : 'failed';
    }
  }

  #failed(failed: {
    readonly key: string;
    readonly feed: ObjectFeed;
    readonly object: KubeObject;
    readonly known: Remembered;
    readonly thrown: unknown;
  }): void {
    const { key, feed, object, known } = failed;
    const error = asError(failed.thrown);
    const status = error instanceof KubeApiError ? error.status : 0;
    const failures = status === 409 ? known.failures : known.failures + 1;
    const isRefused = status >= 400 && status < 500 && status !== 429;
    const longestMs = isRefused ? LONGEST_REFUSED_MS : LONGEST_RETRY_MS;
    const backOffMs = Math.min(longestMs, FIRST_RETRY_MS * 2 ** Math.min(10, failures - 1));
    const askedMs = error instanceof KubeApiError ? (error.retryAfterMs ?? 0) : 0;
    const delayMs = status === 409 ? CONFLICT_RETRY_MS : Math.max(backOffMs, askedMs);
    const retryAtMs = this.#deps.clock.monotonicMs() + delayMs;
    // What was written last may be gone: the feed is believed again.
    this.#remembered.set(key, { ...known, written: null, over: null, retryAtMs, failures });
    // Gone, or changed by somebody else meanwhile: the feed will tell.
    if (status === 409 || status === 404) return;
    const what = `${feed.resource.kind} ${object.metadata.namespace ?? ''}/${object.metadata.name}`;
    const sentence = `The status of ${what} is not written: ${remedyOf(status, feed, object, error)}`;
    if (!this.#problems.has(key))
      this.#deps.log.warn({ object: what, status, problem: sentence }, 'status.write_failed');
    this.#problems.set(key, sentence);
  }
}

function nameOf({ metadata }: KubeObject): ObjectName {
  return { namespace: metadata.namespace ?? '', name: metadata.name };
}

function keyOf({ resource }: ObjectFeed, object: KubeObject): string {
  const { namespace, name } = nameOf(object);
  return `${resource.plural} ${object.metadata.uid ?? `${namespace}/${name}`}`;
}

/** What the API server has: our own last write until the feed has gone on from what it showed then. */
function latestOf(object: KubeObject, { written, over }: Remembered): KubeObject {
  return written !== null && object.metadata.resourceVersion === over ? written : object;
}

function remedyOf(status: number, { resource }: ObjectFeed, { metadata }: KubeObject, error: Error): string {
  if (status === 403) {
    return `the controller may not patch ${resource.plural}/status in namespace ${metadata.namespace ?? ''}: add it to its Role.`;
  }
  if (status === 422 || status === 400) {
    return `the API server refuses it (${error.message}): bring the CRDs to the version of this release.`;
  }
  return `${error.message}; it is tried again.`;
}
