import type { TestNamespace } from './namespace.ts';

/** What was seen of a namespace's pods over time. */
export interface Watched {
  /** Pods that existed at once and were not told to end. */
  mostAtOnce(): number;
  /** Names of all pods that ever were. */
  names(): ReadonlySet<string>;
  stop(): void;
}

const LOOK_EVERY_MS = 50;

/** Looks at the pods of a namespace again and again until told to stop. */
export function watchPods(namespace: TestNamespace, labels = 'app=chat'): Watched {
  const names = new Set<string>();
  let most = 0;
  let isStopped = false;
  const look = async () => {
    while (!isStopped) {
      const pods = await namespace.pods(labels).catch(() => []);
      const alive = pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
      for (const { metadata } of pods) names.add(metadata.name);
      most = Math.max(most, alive.length);
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
  };
  void look();
  return {
    mostAtOnce: () => most,
    names: () => names,
    stop() {
      isStopped = true;
    },
  };
}
