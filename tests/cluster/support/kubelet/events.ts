import { randomBytes } from 'node:crypto';
import { KubeApiError } from '../../../../src/core/kubernetes.ts';
import type { HarnessApi } from '../api.ts';
import { iso } from './container-runner.ts';
import type { Pod } from './objects.ts';

const TRIES = 20;
const RETRY_MS = 250;
const COUNTED_AFTER_MS = 500;

interface Recorded {
  readonly name: string;
  count: number;
  /** A write of the newest count is due. */
  due: boolean;
}

/** Events as a kubelet records them: equal ones raise the count of the first. Written in order for each pod, best effort. */
export class EventRecorder {
  readonly #api: HarnessApi;
  readonly #seen = new Map<string, Recorded>();
  readonly #last = new Map<string, Promise<void>>();
  #closed = false;

  constructor(api: HarnessApi) {
    this.#api = api;
  }

  record(pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string, container = ''): void {
    const { uid } = pod.metadata;
    const key = `${uid} ${reason} ${message} ${container}`;
    const seen = this.#seen.get(key);
    if (seen?.due === true) {
      seen.count += 1;
      return;
    }
    const recorded = seen ?? { name: `${pod.metadata.name}.${randomBytes(8).toString('hex')}`, count: 0, due: true };
    recorded.count += 1;
    recorded.due = true;
    this.#seen.set(key, recorded);
    const nowIso = iso();
    const write = () =>
      seen === undefined
        ? this.#create(pod, recorded, { type, reason, message, container, nowIso })
        : this.#count(pod, recorded, nowIso);
    this.#last.set(uid, (this.#last.get(uid) ?? Promise.resolve()).then(write));
  }

  /** What is recorded from now on is dropped. Returns when the writing has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#last.values());
  }

  async #create(
    pod: Pod,
    recorded: Recorded,
    event: { type: string; reason: string; message: string; container: string; nowIso: string },
  ): Promise<void> {
    const { name, namespace, uid } = pod.metadata;
    const { container, nowIso, ...text } = event;
    const fieldPath = container === '' ? {} : { fieldPath: `spec.containers{${container}}` };
    const host = pod.spec.nodeName ?? '';
    const body = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: recorded.name, namespace },
      involvedObject: { apiVersion: 'v1', kind: 'Pod', name, namespace, uid, ...fieldPath },
      source: { component: 'kubelet', host },
      reportingComponent: 'kubelet',
      reportingInstance: host,
      ...{ ...text, count: recorded.count, firstTimestamp: nowIso, lastTimestamp: nowIso },
    };
    recorded.due = false;
    await this.#try(() => this.#api.request({ method: 'POST', path: `/api/v1/namespaces/${namespace}/events`, body }));
  }

  /** Waits a little first: a probe that fails ten times a second is one write a second. */
  async #count({ metadata: { namespace } }: Pod, recorded: Recorded, nowIso: string): Promise<void> {
    if (!this.#closed) await new Promise((resolve) => setTimeout(resolve, COUNTED_AFTER_MS));
    recorded.due = false;
    const body = { count: recorded.count, lastTimestamp: nowIso };
    const path = `/api/v1/namespaces/${namespace}/events/${recorded.name}`;
    await this.#try(() => this.#api.request({ method: 'PATCH', path, patch: 'merge', body }));
  }

  /** An API server that is away comes back; a namespace that is being deleted takes no events. */
  async #try(write: () => Promise<unknown>): Promise<void> {
    for (let tried = 0; tried < TRIES && !this.#closed; tried += 1) {
      try {
        await write();
        return;
      } catch (error) {
        if (!(error instanceof KubeApiError) || (error.status !== 0 && error.status < 500)) return;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }
}
