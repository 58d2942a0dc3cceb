import { homedir } from 'node:os';
import { type KubeApi, KubeApiError, type KubeObject, type KubeResource, kubePath } from '../../core/kubernetes.ts';
import { systemClock } from '../../platform/clock.ts';
import { openKubeApi } from '../../platform/kubernetes/api.ts';
import { createLogger } from '../../platform/logger.ts';

export interface ClusterOptions {
  /** Null: as kubectl finds it. */
  readonly kubeconfig: string | null;
  /** Null: the current one. */
  readonly context: string | null;
  /** Null: the context's. */
  readonly namespace: string | null;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly version: string;
}

const PAGE = 500;

/** An API server as the person at the keyboard sees it: with that person's credentials and rights, and no others. */
export interface Cluster {
  readonly api: KubeApi;
  /** Base URL of the API server. */
  readonly server: string;
  readonly namespace: string;
  /** Null when it is not there. Throws a KubeApiError for everything else. */
  get(resource: KubeResource, namespace: string, name: string, signal: AbortSignal): Promise<KubeObject | null>;
  /** `namespace` null = of all. Null when the API server does not know the resource. Throws a KubeApiError. */
  list(resource: KubeResource, namespace: string | null, signal: AbortSignal): Promise<readonly KubeObject[] | null>;
  /** The user's name, as the API server knows it; null when it does not tell. */
  whoAmI(signal: AbortSignal): Promise<string | null>;
  close(): Promise<void>;
}

/** Finds credentials; nothing is sent yet. Throws an Error that says what to set. */
export async function openCluster(options: ClusterOptions): Promise<Cluster> {
  const { kubeconfig, context, namespace, environment, version } = options;
  const api = await openKubeApi({
    ...{ kubeconfig, context, namespace },
    env: environment,
    homeFolder: environment['HOME'] ?? homedir(),
    clock: systemClock,
    log: createLogger({ level: 'silent' }),
    userAgent: `pilotlight-cli/${version}`,
  });
  return {
    api,
    server: api.server,
    namespace: api.namespace,
    get: (resource, inNamespace, name, signal) =>
      orNull(
        api.request({ method: 'GET', path: kubePath(resource, inNamespace, name), signal }),
      ) as Promise<KubeObject | null>,
    list: (resource, inNamespace, signal) => orNull(listAll(api, resource, inNamespace, signal)),
    whoAmI: (signal) => whoAmI(api, signal),
    close: () => api.close(),
  };
}

interface Page {
  readonly items?: readonly KubeObject[];
  readonly metadata?: { readonly continue?: string };
}

async function listAll(
  api: KubeApi,
  resource: KubeResource,
  namespace: string | null,
  signal: AbortSignal,
): Promise<readonly KubeObject[]> {
  const found: KubeObject[] = [];
  let from = '';
  do {
    const query = { limit: String(PAGE), ...(from === '' ? {} : { continue: from }) };
    const page = (await api.request({ method: 'GET', path: kubePath(resource, namespace), query, signal })) as Page;
    found.push(...(page.items ?? []));
    from = page.metadata?.continue ?? '';
  } while (from !== '');
  return found;
}

async function whoAmI(api: KubeApi, signal: AbortSignal): Promise<string | null> {
  const path = kubePath({ group: 'authentication.k8s.io', version: 'v1', plural: 'selfsubjectreviews' }, null);
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' };
  try {
    const answer = (await api.request({ method: 'POST', path, body, signal })) as {
      readonly status?: { readonly userInfo?: { readonly username?: string } };
    };
    return answer.status?.userInfo?.username ?? null;
  } catch (thrown) {
    // API servers before 1.28 do not have it.
    if (thrown instanceof KubeApiError && thrown.status > 0) return null;
    throw thrown;
  }
}

async function orNull<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (thrown) {
    if (thrown instanceof KubeApiError && thrown.status === 404) return null;
    throw thrown;
  }
}
