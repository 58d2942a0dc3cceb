import { randomBytes } from 'node:crypto';
import { KubeApiError } from '../../../../src/core/kubernetes.ts';
import type { HarnessApi } from '../api.ts';
import type { Pod } from './objects.ts';

const TRIES = 20;
const RETRY_MS = 250;

/** Events as a kubelet records them: equal ones raise the count of the first. Written in order, best effort. */
export class EventRecorder {
  readonly #api: HarnessApi;
  readonly #seen = new Map<string, { name: string; count: number }>();
  #last: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(api: HarnessApi) {
    this.#api = api;
  }

  record(pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string, container?: string): void {
    const nowIso = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
    this.#last = this.#last.then(() => this.#write(pod, type, reason, message, container, nowIso));
  }

  /** What is recorded from now on is dropped. Returns when the writing has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#last;
  }

  async #write(pod: Pod, type: string, reason: string, message: string, container: string | undefined, nowIso: string) {
    const { name, namespace, uid } = pod.metadata;
    const key = `${uid} ${reason} ${message} ${container ?? ''}`;
    const seen = this.#seen.get(key);
    const path = `/api/v1/namespaces/${namespace}/events`;
    if (seen !== undefined) {
      seen.count += 1;
      const body = { count: seen.count, lastTimestamp: nowIso };
      await this.#try(() => this.#api.request({ method: 'PATCH', path: `${path}/${seen.name}`, patch: 'merge', body }));
      return;
    }
    const event = `${name}.${randomBytes(8).toString('hex')}`;
    this.#seen.set(key, { name: event, count: 1 });
    const fieldPath = container === undefined ? {} : { fieldPath: `spec.containers{${container}}` };
    const body = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: event, namespace },
      involvedObject: { apiVersion: 'v1', kind: 'Pod', name, namespace, uid, ...fieldPath },
      source: { component: 'kubelet', host: pod.spec.nodeName ?? '' },
      reportingComponent: 'kubelet',
      reportingInstance: pod.spec.nodeName ?? '',
      ...{ type, reason, message, count: 1, firstTimestamp: nowIso, lastTimestamp: nowIso },
    };
    await this.#try(() => this.#api.request({ method: 'POST', path, body }));
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
