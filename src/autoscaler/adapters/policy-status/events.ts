import type { Clock } from '../../../core/clock.ts';
import type { KubeObject, KubeResource } from '../../../core/kubernetes.ts';
import type { PolicyEvent } from '../../policy/policy-events.ts';

export interface EventObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** Takes Events; it may drop some, and never throws. */
export interface EventSink {
  emit(event: PolicyEvent & { readonly object: EventObject }): void;
}

export function eventObject(resource: KubeResource, { metadata }: KubeObject): EventObject {
  const { group, version, kind } = resource;
  const apiVersion = group === '' ? version : `${group}/${version}`;
  return { apiVersion, kind, namespace: metadata.namespace ?? '', name: metadata.name, uid: metadata.uid ?? '' };
}

/** The same words about the same object are told again after this. */
const SAME_WORDS_MS = 600_000;
/** The same reason with other words. */
const SAME_REASON_MS = 5_000;
const MOST_REMEMBERED = 2_000;
/** Of one object within a minute. */
const MOST_PER_MINUTE = 20;

/** Keeps what flaps from becoming a flood of Events. */
export class EventGate {
  readonly #clock: Clock;
  readonly #sink: EventSink;
  /** By object and reason, the longest untold first. */
  readonly #told = new Map<string, { readonly message: string; readonly atMs: number }>();
  /** Starts of the current minute and Events in it, by object. */
  readonly #minutes = new Map<string, { readonly fromMs: number; readonly count: number }>();

  constructor(clock: Clock, sink: EventSink) {
    this.#clock = clock;
    this.#sink = sink;
  }

  emit(object: EventObject, event: PolicyEvent): void {
    const nowMs = this.#clock.monotonicMs();
    const key = JSON.stringify([object.kind, object.namespace, object.name, event.reason]);
    const last = this.#told.get(key);
    const quietMs = last?.message === event.message ? SAME_WORDS_MS : SAME_REASON_MS;
    // A change of scale is always told: each is another one.
    const isScale = event.reason.includes('Scale') && last?.message !== event.message;
    if (last !== undefined && !isScale && nowMs - last.atMs < quietMs) return;
    if (!this.#hasRoom(JSON.stringify([object.kind, object.namespace, object.name]), nowMs)) return;
    this.#told.delete(key);
    this.#told.set(key, { message: event.message, atMs: nowMs });
    dropOldest(this.#told);
    this.#sink.emit({ ...event, object });
  }

  #hasRoom(object: string, nowMs: number): boolean {
    const minute = this.#minutes.get(object);
    const isNew = minute === undefined || nowMs - minute.fromMs >= 60_000;
    const count = isNew ? 1 : minute.count + 1;
    this.#minutes.delete(object);
    this.#minutes.set(object, { fromMs: isNew ? nowMs : minute.fromMs, count });
    dropOldest(this.#minutes);
    return count <= MOST_PER_MINUTE;
  }
}

function dropOldest(map: Map<string, unknown>): void {
  const [oldest] = map.keys();
  if (map.size > MOST_REMEMBERED && oldest !== undefined) map.delete(oldest);
}
