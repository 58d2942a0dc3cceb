import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { KubeObject } from '../../../src/core/kubernetes.ts';
import { until } from '../../support/until.ts';
import { type ApiAccess, HarnessApi, orNull } from './api.ts';
import { Discovery } from './discovery.ts';
import { kubeconfigText } from './kubeconfig.ts';

/** All that another process needs to use a running control plane. Plain data. */
export interface ClusterHandle {
  readonly url: string;
  /** PEM of what signed the API server's certificate. */
  readonly ca: string;
  /** Logs, kubeconfigs, keys. Removed when the cluster is closed. */
  readonly folder: string;
  readonly adminToken: string;
  /** Tokens of users without any right, by name. */
  readonly users: Readonly<Record<string, string>>;
}

const FIELD_MANAGER = 'pilotlight-tests';
const CRD_DEADLINE_MS = 20_000;

interface Conditioned {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

/** A control plane that runs, seen by its administrator. */
export class ClusterAccess {
  readonly handle: ClusterHandle;
  /** As administrator. */
  readonly api: HarnessApi;
  readonly discovery: Discovery;
  readonly #apis: HarnessApi[] = [];
  #files = 0;

  constructor(handle: ClusterHandle) {
    this.handle = handle;
    this.api = this.apiFor(handle.adminToken);
    this.discovery = new Discovery(this.api);
  }

  get url(): string {
    return this.handle.url;
  }

  /** Path of the administrator's kubeconfig. */
  get kubeconfig(): string {
    return join(this.handle.folder, 'admin.kubeconfig');
  }

  /** The API as whoever holds the token. Closed together with this access. */
  apiFor(token: string): HarnessApi {
    const api = new HarnessApi(this.accessFor(token));
    this.#apis.push(api);
    return api;
  }

  accessFor(token: string): ApiAccess {
    return { url: this.handle.url, ca: this.handle.ca, token };
  }

  /** Token of a user of the token file, who has no right until a test binds a Role to `kind: User, name`. */
  userToken(user: string): string {
    const token = this.handle.users[user];
    if (token === undefined)
      throw new Error(`no user "${user}"; there are ${Object.keys(this.handle.users).join(', ')}`);
    return token;
  }

  /** Writes a kubeconfig for a token and returns its path. */
  kubeconfigFor(token: string, namespace = 'default'): string {
    const folder = join(this.handle.folder, 'kubeconfigs');
    mkdirSync(folder, { recursive: true });
    this.#files += 1;
    const path = join(folder, `${process.pid}-${this.#files}.kubeconfig`);
    writeFileSync(path, kubeconfigText(this.accessFor(token), namespace), { mode: 0o600 });
    return path;
  }

  /** A token of a ServiceAccount by TokenRequest, as a kubelet mounts it. */
  async tokenFor(
    serviceAccount: string,
    namespace: string,
    options: {
      readonly expirationSeconds?: number;
      readonly audiences?: readonly string[];
      readonly boundPod?: KubeObject;
    } = {},
  ): Promise<string> {
    const { expirationSeconds = 3_600, audiences, boundPod } = options;
    const answer = (await this.api.request({
      method: 'POST',
      path: `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccount}/token`,
      body: {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: {
          expirationSeconds,
          ...(audiences === undefined ? {} : { audiences }),
          ...(boundPod === undefined
            ? {}
            : {
                boundObjectRef: {
                  apiVersion: 'v1',
                  kind: 'Pod',
                  name: boundPod.metadata.name,
                  uid: boundPod.metadata.uid,
                },
              }),
        },
      },
    })) as { status: { token: string } };
    return answer.status.token;
  }

  /**
   * Server-side apply of objects or YAML documents, in their order; returns them as stored. After a CustomResourceDefinition
   * it waits until its objects can be made. `namespace` is for objects that name none.
   */
  async apply(manifests: string | readonly object[], namespace = 'default'): Promise<KubeObject[]> {
    const applied: KubeObject[] = [];
    for (const object of toObjects(manifests)) {
      const path = await this.discovery.pathOf(object, namespace);
      const query = { fieldManager: FIELD_MANAGER, force: 'true' };
      const stored = (await this.api.request({
        method: 'PATCH',
        path,
        query,
        patch: 'apply',
        body: object,
      })) as KubeObject;
      applied.push(stored);
      if (object.kind === 'CustomResourceDefinition') await this.#untilServed(path, stored);
    }
    return applied;
  }

  /** Deletes objects or YAML documents, last first; those that are gone already are fine. */
  async remove(manifests: string | readonly object[], namespace = 'default'): Promise<void> {
    for (const object of toObjects(manifests).reverse()) {
      await orNull(this.api.request({ method: 'DELETE', path: await this.discovery.pathOf(object, namespace) }));
    }
  }

  /** The object, or null. */
  async get(apiVersion: string, kind: string, name: string, namespace = 'default'): Promise<KubeObject | null> {
    const path = await this.discovery.pathOf({ apiVersion, kind, metadata: { name } }, namespace);
    return (await orNull(this.api.request({ method: 'GET', path }))) as KubeObject | null;
  }

  /** All objects of a kind in a namespace. */
  async list(apiVersion: string, kind: string, namespace: string, labelSelector = ''): Promise<KubeObject[]> {
    const path = (await this.discovery.pathOf({ apiVersion, kind, metadata: { name: 'x' } }, namespace)).replace(
      /\/x$/,
      '',
    );
    const list = (await this.api.request({ method: 'GET', path, query: { labelSelector } })) as { items: KubeObject[] };
    return list.items;
  }

  /** Ends connections; the control plane runs on. */
  async disconnect(): Promise<void> {
    await Promise.all(this.#apis.map((api) => api.close()));
  }

  async #untilServed(path: string, crd: KubeObject): Promise<void> {
    await until(
      async () => {
        const { status } = (await this.api.request({ method: 'GET', path })) as Conditioned;
        return status?.conditions?.some((each) => each.type === 'Established' && each.status === 'True') ?? false;
      },
      `${crd.metadata.name} is established`,
      CRD_DEADLINE_MS,
    );
    const spec = crd.spec as { group: string; names: { kind: string }; versions: { name: string; served: boolean }[] };
    for (const { name } of spec.versions.filter(({ served }) => served)) {
      await until(
        async () => {
          const known = this.discovery.resource(`${spec.group}/${name}`, spec.names.kind);
          return known.then(
            () => true,
            () => false,
          );
        },
        `${crd.metadata.name} is served`,
        CRD_DEADLINE_MS,
      );
    }
  }
}

function toObjects(manifests: string | readonly object[]): KubeObject[] {
  if (typeof manifests !== 'string') return [...manifests] as KubeObject[];
  const documents = parseAllDocuments(manifests);
  const broken = documents.find(({ errors }) => errors.length > 0);
  if (broken !== undefined) throw broken.errors[0]!;
  return documents.map((document) => document.toJS() as KubeObject | null).filter((object) => object !== null);
}
