import { KubeCatalogSource } from '../../../src/config/objects/kube-catalog-source.ts';
import type { ObjectKind } from '../../../src/config/objects/parse-objects.ts';
import { configurationSchema } from '../../../src/config/schema/configuration.ts';
import type { FeedFreshness, KubeObject, KubeResource, ObjectFeed } from '../../../src/core/kubernetes.ts';

/** A feed that shows what a test puts into it. As an API server's lists do, it leaves apiVersion and kind out. */
export class ListFeed implements ObjectFeed {
  readonly resource: KubeResource;
  readonly #objects = new Map<string, KubeObject>();
  readonly #listeners = new Set<(object: KubeObject | null) => void>();
  #freshness: FeedFreshness = { state: 'live', heardAtEpochMs: 0, why: null };

  constructor(resource: KubeResource) {
    this.resource = resource;
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  list(): readonly KubeObject[] {
    return [...this.#objects.values()];
  }

  get(namespace: string, name: string): KubeObject | undefined {
    return this.#objects.get(`${namespace}/${name}`);
  }

  onChange(listener: (object: KubeObject | null) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  freshness(): FeedFreshness {
    return this.#freshness;
  }

  become(state: FeedFreshness['state'], why: string | null = null): void {
    this.#freshness = { state, why, heardAtEpochMs: 0 };
    this.#tell(null);
  }

  put(object: KubeObject): void {
    this.#objects.set(`${object.metadata.namespace}/${object.metadata.name}`, object);
    this.#tell(object);
  }

  delete(name: string, namespace = 'team'): void {
    const object = this.get(namespace, name);
    if (!object) throw new Error(`there is no ${namespace}/${name}`);
    this.#objects.delete(`${namespace}/${name}`);
    this.#tell(object);
  }

  #tell(object: KubeObject | null): void {
    for (const listener of this.#listeners) listener(object);
  }
}

const resource = (kind: string, plural: string, group: string, version: string) => ({ kind, plural, group, version });

/** A source over five feeds, and ways to write objects: generation and creation are counted up. */
export function kubeWorld(installation = 'local', options: { readonly refusedGraceMs?: number } = {}) {
  const feeds = {
    InferencePool: new ListFeed(resource('InferencePool', 'inferencepools', 'inference.networking.k8s.io', 'v1')),
    InferenceObjective: new ListFeed(resource('InferenceObjective', 'inferenceobjectives', 'llm-d.ai', 'v1alpha2')),
    InferenceModelRewrite: new ListFeed(
      resource('InferenceModelRewrite', 'inferencemodelrewrites', 'llm-d.ai', 'v1alpha2'),
    ),
    ScalePolicy: new ListFeed(resource('ScalePolicy', 'scalepolicies', 'pilotlight.dev', 'v1alpha1')),
    ObjectivePolicy: new ListFeed(resource('ObjectivePolicy', 'objectivepolicies', 'pilotlight.dev', 'v1alpha1')),
  } satisfies Record<ObjectKind, ListFeed>;
  const settings = configurationSchema.parse({ installation, kubernetes: { enabled: true } });
  let created = 0;
  return {
    feeds,
    open: () => new KubeCatalogSource({ feeds, settings, ...options }),
    /** Creates the object, or makes a new generation of it. */
    put(
      kind: ObjectKind,
      name: string,
      spec: unknown,
      more: { labels?: Record<string, string>; namespace?: string } = {},
    ) {
      const { namespace = 'team', labels } = more;
      const before = feeds[kind].get(namespace, name)?.metadata;
      if (!before) created += 1;
      const metadata = {
        name,
        namespace,
        uid: before?.uid ?? `uid-${created}`,
        generation: (before?.generation ?? 0) + 1,
        creationTimestamp: before?.creationTimestamp ?? new Date(created * 1_000).toISOString().replace('.000', ''),
        ...(labels && { labels }),
      };
      feeds[kind].put({ metadata, spec });
    },
  };
}

export type KubeWorld = ReturnType<typeof kubeWorld>;

export const poolSpec = (app: string) => ({ selector: { matchLabels: { app } }, targetPorts: [{ number: 8000 }] });
export const ref = (name: string) => ({ apiVersion: 'apps/v1', kind: 'Deployment', name });
export const target = (name: string, more: object = {}) => ({ name: 't', scaleTargetRef: ref(name), ...more });
/** A policy for the InferencePool of the same name, with a model and a workload of that name. */
export const policySpec = (name: string, more: object = {}) => ({
  poolRef: { name },
  models: [{ name }],
  targets: [target(name)],
  ...more,
});

/** The next turns of the event loop have passed: what was heard is compiled. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
