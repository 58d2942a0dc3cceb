import type { Clock } from '../../../core/clock.ts';
import type { KubeApi, KubeResource } from '../../../core/kubernetes.ts';
import type { ScaleTarget } from '../../../core/objects.ts';

export type TargetRef = NonNullable<ScaleTarget['scaleTargetRef']>;

/** A kind that the API server does not serve is looked for again after this long. */
const ASK_AGAIN_MS = 15_000;
const BUILT_IN: Readonly<Record<string, string>> = {
  Deployment: 'deployments',
  StatefulSet: 'statefulsets',
  ReplicaSet: 'replicasets',
};

/** What discovery says of a kind: where it is served, or why it cannot be scaled. */
export type FoundResource =
  | { readonly kind: 'found'; readonly resource: KubeResource }
  | { readonly kind: 'missing'; readonly why: string };

interface ResourceList {
  readonly resources?: readonly { readonly name?: string; readonly kind?: string }[];
}

/** Finds the plural of anything with a /scale. Kinds of apps/v1 need no question; the rest is asked once and kept. */
export class ScaleResources {
  readonly #api: KubeApi;
  readonly #clock: Clock;
  readonly #known = new Map<string, { readonly found: FoundResource; readonly askedAtMs: number }>();

  constructor(api: KubeApi, clock: Clock) {
    this.#api = api;
    this.#clock = clock;
  }

  /** Throws a KubeApiError when the API server cannot be asked. */
  async find({ apiVersion, kind }: TargetRef): Promise<FoundResource> {
    const [version = '', group = ''] = apiVersion.split('/').reverse();
    const plural = apiVersion === 'apps/v1' ? BUILT_IN[kind] : undefined;
    if (plural !== undefined) return { kind: 'found', resource: { group, version, plural, kind } };
    const key = `${apiVersion} ${kind}`;
    const known = this.#known.get(key);
    const isFresh = known !== undefined && this.#clock.monotonicMs() - known.askedAtMs < ASK_AGAIN_MS;
    if (known !== undefined && (known.found.kind === 'found' || isFresh)) return known.found;
    const found = await this.#ask(group, version, kind);
    this.#known.set(key, { found, askedAtMs: this.#clock.monotonicMs() });
    return found;
  }

  async #ask(group: string, version: string, kind: string): Promise<FoundResource> {
    const path = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
    let list: ResourceList;
    try {
      list = (await this.#api.request({ method: 'GET', path })) as ResourceList;
    } catch (thrown) {
      if ((thrown as { status?: number }).status !== 404) throw thrown;
      return { kind: 'missing', why: `the cluster does not serve ${path.slice(1)}; install its CRD` };
    }
    const resources = list.resources ?? [];
    const plural = resources.find((one) => one.kind === kind && one.name?.includes('/') === false)?.name;
    if (plural === undefined) {
      return { kind: 'missing', why: `the cluster knows no ${kind} in ${path.slice(1)}; correct apiVersion or kind` };
    }
    if (!resources.some(({ name }) => name === `${plural}/scale`)) {
      return { kind: 'missing', why: `${plural} have no /scale subresource, so nothing can scale them` };
    }
    return { kind: 'found', resource: { group, version, plural, kind } };
  }
}
