import { setTimeout as sleep } from 'node:timers/promises';
import { asError } from '../../../../src/core/errors.ts';
import { KubeApiError } from '../../../../src/core/kubernetes.ts';
import type { HarnessApi } from '../api.ts';
import { iso } from './container-runner.ts';
import type { PodCondition } from './objects.ts';
import { type PodView, podConditions, podStatus } from './pod-status.ts';

const RETRY_MS = 100;

/** Writes one pod's status, the newest only, and again until the API server took it. */
export class StatusWriter {
  readonly #api: HarnessApi;
  readonly #view: () => PodView;
  readonly #transitions = new Map<string, { readonly status: string; readonly at: string }>();
  #written = '';
  #dirty = false;
  #writing: Promise<void> | null = null;
  #closed = false;

  constructor(api: HarnessApi, view: () => PodView) {
    this.#api = api;
    this.#view = view;
  }

  changed(): void {
    this.#dirty = true;
    this.#writing ??= this.#write()
      .catch((error: unknown) => {
        process.stderr.write(`kubelet stand-in: a pod's status was refused: ${asError(error).message}\n`);
      })
      .finally(() => {
        this.#writing = null;
      });
  }

  /** Returns when what changed so far is written, or the pod is gone. */
  async flush(): Promise<void> {
    while (this.#writing !== null) await this.#writing;
  }

  close(): void {
    this.#closed = true;
  }

  async #write(): Promise<void> {
    // Changes of one turn go out together.
    await Promise.resolve();
    while (this.#dirty && !this.#closed) {
      this.#dirty = false;
      const view = this.#view();
      const conditions = podConditions(view).map((each) => this.#dated(each));
      const status = { ...podStatus(view), ...(conditions.length === 0 ? {} : { conditions }) };
      const text = JSON.stringify(status);
      if (text === this.#written) continue;
      const { name, namespace, uid } = view.pod.metadata;
      const path = `/api/v1/namespaces/${namespace}/pods/${name}/status`;
      try {
        await this.#api.request({ method: 'PATCH', path, patch: 'strategic', body: { metadata: { uid }, status } });
        this.#written = text;
      } catch (error) {
        if (!(error instanceof KubeApiError)) throw error;
        if (error.status === 404 || error.status === 409) this.#closed = true;
        else if (error.status !== 0 && error.status < 500 && error.status !== 429) throw error;
        this.#dirty = true;
        await sleep(RETRY_MS);
      }
    }
  }

  #dated(condition: PodCondition): PodCondition {
    const before = this.#transitions.get(condition.type);
    const at = before?.status === condition.status ? before.at : iso();
    this.#transitions.set(condition.type, { status: condition.status, at });
    return { ...condition, lastTransitionTime: at };
  }
}
