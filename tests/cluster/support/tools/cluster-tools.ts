import { findTool, type ToolSearch } from './find-tool.ts';

const NAMES = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler'] as const;

/** Paths of the programs of a control plane. */
export type ClusterTools = Readonly<Record<(typeof NAMES)[number], string>>;

/** All four, one after the other (builds take all cores), or why there is no control plane on this machine. */
export async function findClusterTools(
  search: ToolSearch = {},
): Promise<
  { readonly kind: 'found'; readonly tools: ClusterTools } | { readonly kind: 'missing'; readonly why: string }
> {
  const paths: [string, string][] = [];
  for (const name of NAMES) {
    const found = await findTool(name, search);
    if (found.kind === 'missing') return found;
    paths.push([name, found.path]);
  }
  return { kind: 'found', tools: Object.fromEntries(paths) as ClusterTools };
}
