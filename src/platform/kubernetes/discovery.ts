import { type KubeApi, KubeApiError, type KubeResource } from '../../core/kubernetes.ts';

/** Index of the first candidate that the API server serves; null = none. Throws a KubeApiError when it does not say. */
export async function discover(
  api: KubeApi,
  candidates: readonly KubeResource[],
  signal?: AbortSignal,
): Promise<number | null> {
  for (const [index, candidate] of candidates.entries()) {
    if (await isServed(api, candidate, signal)) return index;
  }
  return null;
}

/** Whether the API server serves this resource under this group and version. Discovery is open to every identity. */
export async function isServed(
  api: KubeApi,
  { group, version, plural }: KubeResource,
  signal?: AbortSignal,
): Promise<boolean> {
  const path = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  try {
    const answer = await api.request({ method: 'GET', path, ...(signal ? { signal } : {}) });
    const { resources = [] } = answer as { resources?: readonly { readonly name?: string }[] };
    return resources.some(({ name }) => name === plural);
  } catch (error) {
    if (error instanceof KubeApiError && error.status === 404) return false;
    throw error;
  }
}
