import type { TestProject } from 'vitest/node';
import { type Cluster, startCluster } from './cluster.ts';
import type { ClusterHandle } from './cluster-access.ts';
import { type ClusterTools, findClusterTools } from './tools/cluster-tools.ts';

export type SharedCluster =
  | { readonly kind: 'running'; readonly handle: ClusterHandle; readonly tools: ClusterTools }
  | { readonly kind: 'missing'; readonly why: string };

declare module 'vitest' {
  interface ProvidedContext {
    /** The run's control plane. Tests use tests/cluster/support/namespace.ts instead. */
    cluster: SharedCluster;
  }
}

let cluster: Cluster | undefined;

/** One control plane for all files; without its programs the tests are skipped, and in CI that is a failure. */
export async function setup(project: TestProject): Promise<void> {
  const found = await findClusterTools();
  if (found.kind === 'missing') {
    const sentence = `No control plane for the tests: ${found.why}.`;
    if (process.env['CI'] === 'true') throw new Error(sentence);
    process.stderr.write(
      `\n*** ${sentence} The tests of tests/cluster are SKIPPED; docs/test-cluster.md says what is needed. ***\n\n`,
    );
    project.provide('cluster', { kind: 'missing', why: sentence });
    return;
  }
  cluster = await startCluster({ tools: found.tools });
  project.provide('cluster', { kind: 'running', handle: cluster.handle, tools: found.tools });
}

export async function teardown(): Promise<void> {
  await cluster?.close();
}
