import { readFile } from 'node:fs/promises';
import type { ClusterAccess } from './cluster-access.ts';

export type FixtureName =
  | 'inferencepools'
  | 'inferenceobjectives.llm-d.ai'
  | 'inferenceobjectives.inference.networking.x-k8s.io'
  | 'inferencemodelrewrites.llm-d.ai'
  | 'inferencemodelrewrites.inference.networking.x-k8s.io'
  | 'leadersets'
  | 'scaledobjects';

/** Kinds of other projects, written for the tests: see fixtures/. Applying one that is there already changes nothing. */
export async function applyFixtures(cluster: ClusterAccess, ...names: readonly FixtureName[]): Promise<void> {
  for (const name of names) {
    await cluster.apply(await readFile(new URL(`../fixtures/${name}.yaml`, import.meta.url), 'utf8'));
  }
}
