import { type KubeApi, KubeApiError, type KubeResource } from '../../core/kubernetes.ts';

interface ResourceList {
  readonly resources?: readonly { readonly name: string; readonly kind: string }[];
}

/** The first of these that the API server serves; null = none. Throws a KubeApiError. */
export async function served(
  api: KubeApi,
  candidates: readonly KubeResource[],
  signal: AbortSignal,
): Promise<KubeResource | null> {
  for (const candidate of candidates) {
    const { group, version, plural, kind } = candidate;
    if ((await pluralOf(api, group, version, kind, signal)) === plural) return candidate;
  }
  return null;
}

/** How a kind is called in paths; null = it is not served. Throws a KubeApiError. */
export async function pluralOf(
  api: KubeApi,
  group: string,
  version: string,
  kind: string,
  signal: AbortSignal,
): Promise<string | null> {
  try {
    const path = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
    const { resources = [] } = (await api.request({ method: 'GET', path, signal })) as ResourceList;
    return resources.find((one) => one.kind === kind && !one.name.includes('/'))?.name ?? null;
  } catch (thrown) {
    if (thrown instanceof KubeApiError && thrown.status === 404) return null;
    throw thrown;
  }
}

/** Null = the caller may not look. Throws a KubeApiError when nothing answers. */
export async function isThere(api: KubeApi, path: string, signal: AbortSignal): Promise<boolean | null> {
  try {
    await api.request({ method: 'GET', path, signal });
    return true;
  } catch (thrown) {
    if (!(thrown instanceof KubeApiError) || thrown.status === 0) throw thrown;
    return thrown.status === 404 ? false : null;
  }
}
