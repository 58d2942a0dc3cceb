/**
 * The least that a controller can do: it lists and watches the pods and policies of a namespace, keeps what it sees in a
 * map and does nothing with it.
 */
import type { KubeObject } from '../../src/core/kubernetes.ts';
import { type ApiAccess, HarnessApi } from '../../tests/cluster/support/api.ts';
import { answerQuestions, ownCpu } from './child.ts';

export type WatcherQuestion =
  | { readonly kind: 'watch'; readonly access: ApiAccess; readonly paths: readonly string[] }
  | { readonly kind: 'use' };

export interface WatcherUse {
  readonly cpuSeconds: number;
  readonly rssMiB: number;
}

const objects = new Map<string, KubeObject>();

async function watch(access: ApiAccess, paths: readonly string[]): Promise<number> {
  const api = new HarnessApi(access);
  for (const path of paths) {
    const list = (await api.request({ method: 'GET', path })) as {
      metadata: { resourceVersion: string };
      items: KubeObject[];
    };
    for (const item of list.items) objects.set(item.metadata.uid ?? '', item);
    void follow(api, path, list.metadata.resourceVersion);
  }
  return objects.size;
}

async function follow(api: HarnessApi, path: string, resourceVersion: string): Promise<void> {
  for await (const { type, object } of api.watch(path, { resourceVersion }, new AbortController().signal)) {
    if (type === 'DELETED') objects.delete(object.metadata.uid ?? '');
    else objects.set(object.metadata.uid ?? '', object);
  }
}

function use(): WatcherUse {
  return { cpuSeconds: ownCpu().cpuUs / 1e6, rssMiB: process.memoryUsage.rss() / 2 ** 20 };
}

answerQuestions((question: WatcherQuestion) =>
  question.kind === 'use' ? use() : watch(question.access, question.paths),
);
