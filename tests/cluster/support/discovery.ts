import { KubeApiError, type KubeObject, type KubeResource, kubePath } from '../../../src/core/kubernetes.ts';
import type { HarnessApi } from './api.ts';

export interface KnownResource extends KubeResource {
  readonly namespaced: boolean;
}

interface ResourceList {
  readonly resources: readonly { readonly name: string; readonly kind: string; readonly namespaced: boolean }[];
}

/** What the API server calls a kind in paths. Asked once for each group and version, and again while a kind is missing. */
export class Discovery {
  readonly #api: HarnessApi;
  readonly #known = new Map<string, KnownResource>();

  constructor(api: HarnessApi) {
    this.#api = api;
  }

  /** Throws when the server does not serve the kind. */
  async resource(apiVersion: string, kind: string): Promise<KnownResource> {
    const key = `${apiVersion} ${kind}`;
    if (!this.#known.has(key)) await this.#ask(apiVersion);
    const found = this.#known.get(key);
    if (found === undefined)
      throw new Error(`the API server does not serve ${kind} of ${apiVersion}; is its CRD applied?`);
    return found;
  }

  /** Path of an object, by what it says itself; `namespace` is for those that name none. */
  async pathOf(object: KubeObject, namespace: string): Promise<string> {
    const resource = await this.resource(object.apiVersion ?? '', object.kind ?? '');
    return kubePath(
      resource,
      resource.namespaced ? (object.metadata.namespace ?? namespace) : null,
      object.metadata.name,
    );
  }

  async #ask(apiVersion: string): Promise<void> {
    const [group, version] = apiVersion.includes('/') ? (apiVersion.split('/') as [string, string]) : ['', apiVersion];
    const path = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
    let list: ResourceList;
    try {
      list = (await this.#api.request({ method: 'GET', path })) as ResourceList;
    } catch (error) {
      if (error instanceof KubeApiError && error.status === 404) return;
      throw error;
    }
    for (const { name, kind, namespaced } of list.resources) {
      if (!name.includes('/'))
        this.#known.set(`${apiVersion} ${kind}`, { group, version, plural: name, kind, namespaced });
    }
  }
}
