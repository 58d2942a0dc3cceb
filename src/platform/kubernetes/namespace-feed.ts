import type { Clock } from '../../core/clock.ts';
import {
  type FeedFreshness,
  KubeApiError,
  type KubeObject,
  type KubeResource,
  kubePath,
} from '../../core/kubernetes.ts';
import type { Logger } from '../../core/logger.ts';
import type { Random } from '../../core/random.ts';
import type { WatchableApi } from './api.ts';
import { LineSplitter } from './json-lines.ts';
import { ObjectStore } from './object-store.ts';
import { errorOfStatus } from './status-error.ts';
import {
  backoffMs,
  freshnessOf,
  PROVEN_WATCH_MS,
  type RestartCause,
  remedyOf,
  SHORT_WATCH_MS,
  silenceLimitMs,
  watchSeconds,
} from './watch-rules.ts';

export interface NamespaceFeedOptions<T extends KubeObject> {
  readonly api: WatchableApi;
  readonly resource: KubeResource;
  readonly namespace: string;
  readonly selectors: Readonly<Record<string, string>>;
  readonly transform: (object: KubeObject) => T;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** How many objects more than now the whole feed may hold. */
  readonly room: () => number;
  readonly onObject: (object: T) => void;
  /** A list replaced everything, or the freshness may have changed. */
  readonly onState: (isListed: boolean) => void;
  readonly onHeard: () => void;
  readonly onRestart: (cause: RestartCause) => void;
}

/** How a resource's feed ends by itself: the API server does not know it. */
export type FeedEnd = 'absent';

const PAGE_OBJECTS = 500;
const LIST_TIMEOUT_MS = 30_000;
/** etcd refuses objects above 1.5 MB; their JSON with managedFields is longer. */
const MAX_LINE_BYTES = 8 * 1_048_576;

/**
 * "Not found" for this long and so often in a row is believed. An API server that starts answers so for custom resources
 * until it has read their definitions, and a pool whose objects are gone may be brought down.
 */
const ABSENT_AFTER_MS = 15_000;
const ABSENT_ANSWERS = 4;

interface WatchEvent {
  readonly type: string;
  readonly object: KubeObject;
}

class TooManyObjects extends Error {}

/**
 * Follows one resource in one namespace until it is told to stop or the resource turns out absent: list, watch from
 * there, go on after every interruption. Nothing that the API server or the network does ends it.
 */
export class NamespaceFeed<T extends KubeObject> {
  readonly store = new ObjectStore<T>();
  readonly #options: NamespaceFeedOptions<T>;
  #mustList = true;
  #hasListed = false;
  /** An expired page token makes the next list one piece, which cannot expire. */
  #inPages = true;
  #heardAtEpochMs: number | null = null;
  #heardAtMs = 0;
  #openedAtMs: number | null = null;
  #cutAtMs: number | null;
  #why: string | null = null;

  constructor(options: NamespaceFeedOptions<T>) {
    this.#options = options;
    this.#cutAtMs = options.clock.monotonicMs();
  }

  get namespace(): string {
    return this.#options.namespace;
  }

  freshness(): FeedFreshness {
    const health = {
      hasListed: this.#hasListed,
      heardAtEpochMs: this.#heardAtEpochMs,
      cutAtMs: this.#cutAtMs,
      why: this.#why,
    };
    return freshnessOf(health, this.#options.clock.monotonicMs());
  }

  /** Rejects with the signal's reason only. */
  async run(signal: AbortSignal): Promise<FeedEnd> {
    const { clock, random, log, onRestart, onState, resource, namespace } = this.#options;
    let failures = 0;
    let absent = { answers: 0, sinceMs: 0 };
    for (;;) {
      signal.throwIfAborted();
      const { failure, livedMs } = await this.#once(signal);
      if (livedMs >= PROVEN_WATCH_MS) failures = 0;
      if (failure === null && livedMs >= SHORT_WATCH_MS) {
        onRestart('ended');
        continue;
      }
      failures += 1;
      const { cause, mustList, isAbsent, retryAfterMs } = this.#judge(failure);
      onRestart(cause);
      const nowMs = clock.monotonicMs();
      if (!isAbsent) absent = { answers: 0, sinceMs: nowMs };
      else absent = { answers: absent.answers + 1, sinceMs: absent.answers === 0 ? nowMs : absent.sinceMs };
      const isCertain = absent.answers >= ABSENT_ANSWERS && nowMs - absent.sinceMs >= ABSENT_AFTER_MS;
      if (isAbsent && (!this.#hasListed || isCertain)) return 'absent';
      this.#mustList ||= mustList;
      if (cause === 'expired') this.#inPages = failures < 2;
      this.#why = this.#explain(cause, failure);
      const delayMs = backoffMs(cause === 'expired' ? failures - 1 : failures, retryAfterMs, random);
      const fields = { resource: resource.plural, namespace, cause, why: this.#why, delayMs: Math.round(delayMs) };
      if (failures === 3) log.warn(fields, 'kubernetes.feed_interrupted');
      else log.debug(fields, 'kubernetes.feed_interrupted');
      onState(false);
      await clock.sleep(delayMs, signal);
    }
  }

  /** One watch, after a list where one is due. Tells how it failed and how long the watch lived. */
  async #once(signal: AbortSignal): Promise<{ failure: unknown; livedMs: number }> {
    const { clock } = this.#options;
    this.#openedAtMs = null;
    let failure: unknown = null;
    try {
      if (this.#mustList) await this.#list(signal);
      await this.#watch(signal);
    } catch (error) {
      signal.throwIfAborted();
      failure = error;
    }
    const nowMs = clock.monotonicMs();
    this.#cutAtMs ??= nowMs;
    return { failure, livedMs: this.#livedMs(nowMs) };
  }

  #livedMs(nowMs: number): number {
    return nowMs - (this.#openedAtMs ?? nowMs);
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { api, resource, namespace, selectors, transform, onObject, onState } = this.#options;
    const path = kubePath(resource, namespace);
    const apiVersion = resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
    const room = this.#options.room() + this.store.size;
    const items: T[] = [];
    this.store.beginList();
    let page = '';
    for (;;) {
      const query: Record<string, string> = { ...selectors };
      if (this.#inPages) query['limit'] = String(PAGE_OBJECTS);
      if (page !== '') query['continue'] = page;
      const answer = listOf(
        await api.request({ method: 'GET', path, query, signal, timeoutMs: LIST_TIMEOUT_MS }),
        path,
      );
      this.#heard();
      // Lists of the built-in resources leave out what they are lists of.
      for (const item of answer.items) items.push(transform({ apiVersion, kind: resource.kind, ...item }));
      if (items.length > room) throw new TooManyObjects();
      if (answer.next !== '') {
        page = answer.next;
        continue;
      }
      const changed = this.store.replace(items, answer.resourceVersion);
      this.#mustList = false;
      this.#inPages = true;
      this.#hasListed = true;
      this.#cutAtMs = this.#options.clock.monotonicMs();
      for (const object of changed) onObject(object);
      onState(true);
      return;
    }
  }

  /** Returns when the server ends the watch, as it does in time. */
  async #watch(signal: AbortSignal): Promise<void> {
    const { api, resource, namespace, selectors, clock, random, onState, log } = this.#options;
    const cut = new AbortController();
    const limitMs = silenceLimitMs(random);
    const onStop = () => cut.abort(signal.reason);
    if (signal.aborted) onStop();
    else signal.addEventListener('abort', onStop, { once: true });
    const query = {
      ...selectors,
      resourceVersion: this.store.seen,
      allowWatchBookmarks: 'true',
      timeoutSeconds: String(watchSeconds(random)),
    };
    const lines = new LineSplitter(MAX_LINE_BYTES);
    try {
      const stream = await api.watch({ path: kubePath(resource, namespace), query, signal: cut.signal });
      const wasWhy = this.#why;
      this.#heard();
      this.#cutAtMs = null;
      this.#why = null;
      this.#openedAtMs = clock.monotonicMs();
      if (wasWhy !== null) log.info({ resource: resource.plural, namespace }, 'kubernetes.feed_recovered');
      onState(false);
      this.#cutWhenSilent(limitMs, cut).catch(() => undefined);
      for await (const chunk of stream) for (const line of lines.push(chunk)) this.#take(line);
    } catch (error) {
      throw isSilent(cut.signal) ? new SilentWatch(`nothing heard for ${Math.round(limitMs)} ms`) : error;
    } finally {
      signal.removeEventListener('abort', onStop);
      cut.abort();
    }
    signal.throwIfAborted();
  }

  /** Bookmarks come without being asked for, so a silent connection is a dead one. */
  async #cutWhenSilent(limitMs: number, cut: AbortController): Promise<void> {
    const { clock } = this.#options;
    for (;;) {
      const leftMs = this.#heardAtMs + limitMs - clock.monotonicMs();
      if (leftMs <= 0) break;
      await clock.sleep(leftMs, cut.signal);
    }
    cut.abort(SILENT);
  }

  #take(line: string): void {
    const { onObject, transform, room, resource } = this.#options;
    const event = JSON.parse(line) as WatchEvent;
    this.#heard();
    if (event.type === 'ERROR') throw errorOfStatus(`watch ${resource.plural}`, event.object);
    if (event.type === 'BOOKMARK') {
      this.store.bookmark(event.object.metadata.resourceVersion);
      return;
    }
    if (event.type !== 'ADDED' && event.type !== 'MODIFIED' && event.type !== 'DELETED') return;
    const isOneMore = event.type === 'ADDED' && this.store.get(event.object.metadata.name) === undefined;
    if (isOneMore && room() < 1) throw new TooManyObjects();
    const object = transform(event.object);
    if (this.store.apply(event.type, object)) onObject(object);
  }

  #heard(): void {
    this.#heardAtMs = this.#options.clock.monotonicMs();
    this.#heardAtEpochMs = this.#options.clock.epochMs();
    this.#options.onHeard();
  }

  #judge(failure: unknown) {
    const again = { mustList: true, isAbsent: false, retryAfterMs: 0 };
    if (failure instanceof SilentWatch) return { ...again, cause: 'silent' as const };
    // Someone has to delete objects or raise the limit; a list each minute is enough to notice.
    if (failure instanceof TooManyObjects) return { ...again, cause: 'too_many' as const, retryAfterMs: 60_000 };
    if (failure === null) return { ...again, mustList: false, cause: 'ended' as const };
    return remedyOf(failure);
  }

  #explain(cause: RestartCause, failure: unknown): string {
    const { resource, namespace, room } = this.#options;
    const what = `${resource.plural} in namespace ${namespace}`;
    const said = failure instanceof Error ? failure.message : 'the watch ended at once';
    if (cause === 'forbidden') return `${said}; needs a Role with get, list and watch on ${what}`;
    if (cause === 'too_many') {
      return `${what}: more than the ${room() + this.store.size} objects that this process keeps; use a narrower selector`;
    }
    if (cause === 'unauthorized')
      return `${said}: the API server refuses the credentials, also after reading them again`;
    return said;
  }
}

const SILENT = new Error('silent');

class SilentWatch extends Error {}

function isSilent({ reason }: AbortSignal): boolean {
  return reason === SILENT;
}

function listOf(answer: unknown, path: string) {
  const { items, metadata } = (answer ?? {}) as {
    items?: readonly KubeObject[] | null;
    metadata?: { resourceVersion?: string; continue?: string };
  };
  // Go writes an empty list as null.
  if (items === undefined || metadata === undefined) {
    throw new KubeApiError(`GET ${path}: the answer is no list`, { status: 502, reason: 'BadAnswer' });
  }
  return { items: items ?? [], resourceVersion: metadata.resourceVersion ?? '', next: metadata.continue ?? '' };
}
