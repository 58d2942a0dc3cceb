import type { Clock } from '../../../core/clock.ts';
import { asError } from '../../../core/errors.ts';
import { type KubeApi, KubeApiError, type KubeResource, kubePath, type Leadership } from '../../../core/kubernetes.ts';
import {
  type ReplicaSet,
  type Scale,
  type Workload,
  type WorkloadView,
  workloadView,
} from '../../policy/kube/workload.ts';
import {
  FIELD_MANAGER,
  forgiveTools,
  noWriter,
  replicasWriter,
  seeReplicas,
  type WriterMemory,
  wroteReplicas,
} from '../../policy/kube/writers.ts';
import type { Denials, Right } from './denials.ts';
import type { ScaleResources, TargetRef } from './scale-resources.ts';

/** So many times a status change may slip in between read and patch. */
const MAX_CONFLICTS = 5;

export interface WorkloadWorld {
  readonly api: KubeApi;
  readonly clock: Clock;
  readonly resources: ScaleResources;
  readonly denials: Denials;
  readonly leadership: Leadership;
}

/** Another one has changed the number of replicas since it was decided upon. */
export class ReplicasChangedError extends Error {
  override readonly name = 'ReplicasChangedError';
}

/** One object with a /scale: what was last read of it, and the way to change its number of replicas. */
export class ScaledWorkload {
  readonly namespace: string;
  readonly ref: TargetRef;
  readonly #world: WorkloadWorld;
  #view: WorkloadView | null = null;
  /** Why it cannot be found; null = it was, or was not asked for yet. */
  #missing: string | null = null;
  #memory: WriterMemory = noWriter;
  #readAtMs: number | null = null;
  #stale = false;
  #isRefused = false;
  #error: string | null = null;
  /** Of what is known of the number of replicas: an answer to an older question is dropped. */
  #version = 0;
  #turn: Promise<unknown> = Promise.resolve();
  #replicaSets: { readonly revision: string; readonly list: readonly ReplicaSet[] } | null = null;

  constructor(namespace: string, ref: TargetRef, world: WorkloadWorld) {
    this.namespace = namespace;
    this.ref = ref;
    this.#world = world;
  }

  get view(): WorkloadView | null {
    return this.#view;
  }

  get missing(): string | null {
    return this.#missing;
  }

  get writers(): WriterMemory {
    return this.#memory;
  }

  /** When it was last read with success (monotonic); null = never. */
  get readAtMs(): number | null {
    return this.#readAtMs;
  }

  /** Whether it was read at `sinceMs` or later, or refuses to be read: then its target's state says so. */
  isKnown(sinceMs: number): boolean {
    return this.#readAtMs !== null ? this.#readAtMs >= sinceMs || this.#isRefused : this.#isRefused;
  }

  /** Another one has changed it: it should be read at once. */
  get stale(): boolean {
    return this.#stale;
  }

  /** Why the last read failed; null = it did not. */
  get error(): string | null {
    return this.#error;
  }

  /** The policy that scales it has changed. */
  forgive(): void {
    this.#memory = forgiveTools(this.#memory);
  }

  /** Reads it. Never rejects: what went wrong is shown by `error` and `missing`. */
  async read(): Promise<void> {
    const version = this.#version;
    this.#stale = false;
    try {
      const found = await this.#world.resources.find(this.ref);
      const view = found.kind === 'found' ? await this.#readFrom(found.resource) : null;
      if (version !== this.#version) return;
      this.#missing = found.kind === 'found' ? null : found.why;
      this.#view = view;
      this.#readAtMs = this.#world.clock.monotonicMs();
      this.#error = null;
      this.#isRefused = false;
      if (view !== null) this.#see(view);
    } catch (thrown) {
      if (version !== this.#version) return;
      this.#error = asError(thrown).message;
      this.#isRefused = thrown instanceof KubeApiError && thrown.status === 403;
      if (!(thrown instanceof KubeApiError) || thrown.status !== 404) return;
      this.#view = null;
      this.#readAtMs = this.#world.clock.monotonicMs();
      const { kind, name } = this.ref;
      this.#missing = `${kind} ${name} does not exist in namespace ${this.namespace}; create it or correct scaleTargetRef`;
    }
  }

  /**
   * Changes the number of replicas from `expected`, one change after the other. Resolves when the API server has stored it. A
   * conflict that left the number as it was is tried again at once. Throws a ReplicasChangedError when another one
   * has changed the number, a KubeApiError when it cannot be changed, and does nothing unless this process leads, and
   * in the same term as when it was asked: what another leader did in between is not known to who asked.
   */
  change(next: (replicas: number) => number): Promise<number> {
    const term = this.#world.leadership.term();
    const done = this.#turn.then(() => this.#change(next, term));
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async #change(next: (replicas: number) => number, term: number | null): Promise<number> {
    if (this.#view === null) await this.read();
    const before = this.#view;
    if (before === null) throw new Error(this.#missing ?? this.#error ?? `${this.ref.name} was not read yet`);
    const expected = before.replicas;
    const wanted = Math.max(0, next(expected));
    if (wanted === expected) return wanted;
    const found = await this.#world.resources.find(this.ref);
    if (found.kind === 'missing') throw new Error(found.why);
    for (let conflicts = 0; ; conflicts += 1) {
      try {
        assertTerm(this.#world.leadership, term);
        await this.#patch(found.resource, this.#view?.resourceVersion ?? before.resourceVersion, wanted);
        return wanted;
      } catch (thrown) {
        const status = thrown instanceof KubeApiError ? thrown.status : -1;
        // Without an answer it may have been stored all the same.
        if ((status !== 409 && status !== 0) || conflicts >= MAX_CONFLICTS) throw thrown;
        const scale = await this.#readScale(found.resource);
        if (status === 0 && scale.replicas === wanted) {
          this.#stored(wanted, scale.resourceVersion);
          return wanted;
        }
        if (scale.replicas !== expected) throw this.#changedBy(expected, scale.replicas);
        if (status === 0) throw thrown;
      }
    }
  }

  async #patch(resource: KubeResource, resourceVersion: string, replicas: number): Promise<void> {
    const scale = (await this.#world.denials.ask(this.#right(`patch ${resource.plural}/scale`), () =>
      this.#world.api.request({
        method: 'PATCH',
        path: kubePath(resource, this.namespace, this.ref.name, 'scale'),
        patch: 'merge',
        query: { fieldManager: FIELD_MANAGER },
        body: { metadata: { resourceVersion }, spec: { replicas } },
      }),
    )) as Scale;
    this.#stored(replicas, scale.metadata.resourceVersion ?? '');
  }

  #stored(replicas: number, resourceVersion: string): void {
    this.#memory = wroteReplicas(this.#memory, replicas);
    this.#know(replicas, resourceVersion);
  }

  /** What the conflict is about: the number as it is now. */
  async #readScale(resource: KubeResource): Promise<{ readonly replicas: number; readonly resourceVersion: string }> {
    const scale = (await this.#get(resource, 'scale')) as Scale;
    const replicas = scale.spec?.replicas ?? 0;
    const { resourceVersion = '' } = scale.metadata;
    // The version of another number stays unknown: a change that waits its turn must meet the same conflict.
    if (this.#view?.replicas === replicas) this.#know(replicas, resourceVersion);
    return { replicas, resourceVersion };
  }

  #changedBy(expected: number, replicas: number): ReplicasChangedError {
    // The next read shows who it was.
    this.#stale = true;
    return new ReplicasChangedError(
      `${this.ref.kind} ${this.ref.name} was decided upon with ${expected} replicas, but another one set ${replicas}`,
    );
  }

  #know(replicas: number, resourceVersion: string): void {
    this.#version += 1;
    if (this.#view !== null) this.#view = { ...this.#view, replicas, resourceVersion };
  }

  async #readFrom(resource: KubeResource): Promise<WorkloadView> {
    const { kind } = this.ref;
    if (resource.group === 'apps') {
      const workload = (await this.#get(resource)) as Workload;
      const sets = kind === 'Deployment' ? await this.#setsOf(workload) : [];
      return workloadView(kind, workload, null, sets);
    }
    const scale = (await this.#get(resource, 'scale')) as Scale;
    // Without the right to read the object itself its template is not known, and it can still be scaled.
    const workload = await this.#get(resource).catch((thrown: unknown) => {
      if (thrown instanceof KubeApiError && thrown.status === 403) return scale;
      throw thrown;
    });
    return workloadView(kind, workload as Workload, scale, []);
  }

  /** Lists the ReplicaSets only when the revision has changed, or when pods are missing that they may not create. */
  async #setsOf(workload: Workload): Promise<readonly ReplicaSet[]> {
    const revision = workload.metadata.annotations?.['deployment.kubernetes.io/revision'] ?? '';
    const lacksPods = (workload.status?.replicas ?? 0) < (workload.spec?.replicas ?? 1);
    if (this.#replicaSets !== null && revision !== '' && this.#replicaSets.revision === revision && !lacksPods) {
      return this.#replicaSets.list;
    }
    const { matchLabels = {} } =
      (workload.spec as { selector?: { matchLabels?: Record<string, string> } }).selector ?? {};
    const labelSelector = Object.entries(matchLabels)
      .map(([name, value]) => `${name}=${value}`)
      .join(',');
    const path = kubePath({ group: 'apps', version: 'v1', plural: 'replicasets' }, this.namespace);
    try {
      const answer = await this.#world.denials.ask({ ...this.#right('list replicasets'), name: null }, () =>
        this.#world.api.request({ method: 'GET', path, query: { labelSelector } }),
      );
      const list = (answer as { items?: readonly ReplicaSet[] }).items ?? [];
      this.#replicaSets = { revision, list };
      return list;
    } catch (thrown) {
      if (thrown instanceof KubeApiError && thrown.status === 403) return [];
      throw thrown;
    }
  }

  #get(resource: KubeResource, subresource?: string): Promise<unknown> {
    const what = subresource === undefined ? resource.plural : `${resource.plural}/${subresource}`;
    const path = kubePath(resource, this.namespace, this.ref.name, subresource);
    return this.#world.denials.ask(this.#right(`get ${what}`), () => this.#world.api.request({ method: 'GET', path }));
  }

  #right(what: string): Right {
    return { what, namespace: this.namespace, name: this.ref.name };
  }

  #see(view: WorkloadView): void {
    const { clock } = this.#world;
    this.#memory = seeReplicas(this.#memory, {
      replicas: view.replicas,
      writer: replicasWriter(view.managedFields),
      nowMs: clock.monotonicMs(),
      nowEpochMs: clock.epochMs(),
    });
  }
}

/** Throws unless this process leads, and in that term. */
function assertTerm(leadership: Leadership, term: number | null): void {
  assertLeader(leadership);
  if (leadership.term() === term) return;
  throw new Error('another term has begun since this was decided, so it is decided anew');
}

/** Throws unless this process may still write. Asked right before each write: what was decided before does not count. */
export function assertLeader(leadership: Leadership): void {
  if (leadership.isLeader()) return;
  throw new Error('this controller does not lead (any more), so it changes nothing; the leader will');
}
