import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { asError } from '../core/errors.ts';
import type { Cluster } from '../roles/operator/cluster.ts';
import { adminClient, DEFAULT_ADMIN_URL } from './client-options.ts';
import type { Client } from './client.ts';
import type { CliContext } from './context.ts';
import { CliError, EXIT } from './exit-codes.ts';
import type { PoolSource } from './pools/pool-view.ts';
import { version } from './version.ts';

export interface ClusterFlags {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly namespace?: string;
}

export interface TargetFlags extends ClusterFlags {
  readonly adminUrl?: string;
  readonly tokenFile?: string;
  readonly cluster?: true;
  readonly allNamespaces?: true;
}

export const TARGET_HELP = `Where it looks:
  The admin listener of a running "pilotlight serve" (--admin-url), unless a cluster is meant: with --cluster, -n, -A,
  --context or --kubeconfig, or with PILOTLIGHT_TARGET=cluster in the environment. Then ScalePolicies are read from the
  API server, and orders are written into their annotations, with your own rights: get, list (and patch to give orders).
  The admin listener of an installation in a cluster wants a token: kubectl create token NAME --audience pilotlight
`;

export const GATEWAY_HELP = `Where it asks:
  The admin listener of a gateway (--admin-url); one is enough, all share the queues. In a cluster it has a Service:
    kubectl -n pilotlight port-forward service/pilotlight-admin 9090 &
    export PILOTLIGHT_ADMIN_TOKEN=$(kubectl create token NAME --audience pilotlight)
`;

export type AdminFlags = Pick<TargetFlags, 'adminUrl' | 'tokenFile'>;

/** How to reach the admin listener of a running process. */
export function addAdminOptions(command: Command): Command {
  return addAdminFlags(command.optionsGroup('Connection:')).optionsGroup('Options:');
}

function addAdminFlags(command: Command): Command {
  return command
    .option(
      '--admin-url <url>',
      `address of the admin listener (or PILOTLIGHT_ADMIN_URL; default ${DEFAULT_ADMIN_URL})`,
    )
    .option('--token-file <file>', 'token for the admin listener (or PILOTLIGHT_ADMIN_TOKEN; default none)');
}

/** How to reach a Pilotlight: its admin listener, or the cluster that it works in. */
export function addTargetOptions(command: Command): Command {
  addAdminFlags(command.optionsGroup('Connection:'))
    .option('--cluster', 'look into the cluster of the current context (or PILOTLIGHT_TARGET=cluster)')
    .option('-A, --all-namespaces', 'in the cluster: all namespaces');
  return addClusterFlags(command).optionsGroup('Options:');
}

export function addClusterOptions(command: Command): Command {
  return addClusterFlags(command.optionsGroup('Connection:')).optionsGroup('Options:');
}

function addClusterFlags(command: Command): Command {
  return command
    .option('-n, --namespace <name>', "in the cluster: this namespace (default: the context's)")
    .option('--context <name>', 'in the cluster: context of the kubeconfig')
    .option('--kubeconfig <file>', 'in the cluster: kubeconfig (default: as kubectl finds it)');
}

/** Whether a cluster is meant and not an admin listener. */
export function isClusterMeant(flags: TargetFlags, { environment }: Pick<CliContext, 'environment'>): boolean {
  const given = (
    [
      ['--cluster', flags.cluster],
      ['-A', flags.allNamespaces],
      ['-n', flags.namespace],
      ['--context', flags.context],
      ['--kubeconfig', flags.kubeconfig],
    ] as const
  ).flatMap(([flag, value]) => (value === undefined ? [] : [flag]));
  const admin = flags.adminUrl === undefined ? (flags.tokenFile === undefined ? null : '--token-file') : '--admin-url';
  if (admin !== null && given.length > 0) {
    throw new CliError(EXIT.USAGE, `${admin} means an admin listener and ${given[0]} a cluster; leave one out`);
  }
  if (flags.allNamespaces && flags.namespace !== undefined) {
    throw new CliError(EXIT.USAGE, '-A means all namespaces and -n one; leave one out');
  }
  const target = environment['PILOTLIGHT_TARGET'] ?? '';
  if (target !== '' && target !== 'cluster' && target !== 'admin') {
    throw new CliError(EXIT.USAGE, `PILOTLIGHT_TARGET is "${target}"; it is "cluster" or "admin"`);
  }
  return given.length > 0 || (admin === null && target === 'cluster');
}

/** The admin listener, or the cluster, that the flags mean. Close it. */
export async function openPoolSource(flags: TargetFlags, context: CliContext): Promise<PoolSource> {
  if (!isClusterMeant(flags, context)) {
    const { adminPools } = await import('./pools/admin-pools.ts');
    return adminPools(adminClientOf(flags, context));
  }
  const { clusterPools } = await import('./pools/cluster-pools.ts');
  const cluster = await openClusterOf(flags, context);
  const namespace = flags.allNamespaces ? null : cluster.namespace;
  return clusterPools({ cluster, namespace, now: () => Date.now() });
}

export function adminClientOf(flags: AdminFlags, context: CliContext): Client {
  const token =
    flags.tokenFile === undefined ? context.environment['PILOTLIGHT_ADMIN_TOKEN'] : readToken(flags.tokenFile);
  return adminClient({ ...flags, ...(token && { token: token.trim() }) }, context);
}

export async function openClusterOf(flags: ClusterFlags, { environment }: CliContext): Promise<Cluster> {
  const { openCluster } = await import('../roles/operator/cluster.ts');
  const { kubeconfig = null, context = null, namespace = null } = flags;
  try {
    return await openCluster({ kubeconfig, context, namespace, environment, version: version() });
  } catch (thrown) {
    const why = asError(thrown).message.replaceAll('kubernetes.kubeconfig', '--kubeconfig');
    throw new CliError(EXIT.USAGE, why.replaceAll('kubernetes.context', '--context'), { cause: thrown });
  }
}

function readToken(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    throw new CliError(EXIT.USAGE, `--token-file: "${file}" cannot be read; check that it is there and readable`);
  }
}
