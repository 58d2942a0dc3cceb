import { setTimeout as sleep } from 'node:timers/promises';
import { KubeApiError, type KubeObject } from '../../../src/core/kubernetes.ts';
import type { HarnessApi } from './api.ts';

export interface Followed<T> {
  /** Path of the list, e.g. /api/v1/pods. */
  readonly path: string;
  readonly onObject: (object: T) => void;
  /** `object` is the last version that was seen. */
  readonly onGone: (object: T) => void;
}

const AGAIN_AFTER_MS = 100;
const WATCHED_S = '300';

interface List<T> {
  readonly metadata: { readonly resourceVersion: string };
  readonly items: readonly T[];
}

/** Lists and watches until the signal aborts; after every break it lists again and tells what was missed. Never rejects. */
export async function follow<T extends KubeObject>(
  api: HarnessApi,
  followed: Followed<T>,
  signal: AbortSignal,
): Promise<void> {
  const known = new Map<string, T>();
  const see = (object: T) => {
    known.set(object.metadata.uid ?? '', object);
    followed.onObject(object);
  };
  const lose = (object: T) => {
    known.delete(object.metadata.uid ?? '');
    followed.onGone(object);
  };
  while (!signal.aborted) {
    try {
      const list = (await api.request({ method: 'GET', path: followed.path, signal })) as List<T>;
      const listed = new Set(list.items.map(({ metadata }) => metadata.uid));
      for (const object of [...known.values()]) if (!listed.has(object.metadata.uid)) lose(object);
      for (const item of list.items) {
        const before = known.get(item.metadata.uid ?? '')?.metadata.resourceVersion;
        if (before !== item.metadata.resourceVersion) see(item);
      }
      const query = { resourceVersion: list.metadata.resourceVersion, timeoutSeconds: WATCHED_S };
      for await (const event of api.watch(followed.path, query, signal)) {
        if (event.type === 'ERROR') break;
        if (event.type === 'DELETED') lose(event.object as T);
        else if (event.type !== 'BOOKMARK') see(event.object as T);
      }
    } catch (error) {
      if (!isBreak(error)) throw error;
    }
    await sleep(AGAIN_AFTER_MS, undefined, { signal }).catch(() => undefined);
  }
}

/** Errors of a listener are errors of the harness: they must not look like a lost connection. */
function isBreak(error: unknown): boolean {
  if (error instanceof KubeApiError) return true;
  const { code, name } = error as { code?: string; name?: string };
  return (
    name === 'AbortError' ||
    name === 'SocketError' ||
    (code?.startsWith('UND_') ?? false) ||
    (code?.startsWith('E') ?? false)
  );
}
