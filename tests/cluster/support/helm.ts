import { spawnSync } from 'node:child_process';
import { beforeAll, beforeEach } from 'vitest';
import { parseAllDocuments } from 'yaml';
import type { KubeObject } from '../../../src/core/kubernetes.ts';
import type { TestNamespace } from './namespace.ts';
import { findTool } from './tools/find-tool.ts';

export const CHART = 'infra/helm/pilotlight';
const TIMEOUT_MS = 120_000;
/** The first build of Helm with Go takes a minute or two. */
const FIND_TIMEOUT_MS = 10 * 60_000;
/** A Helm that Go built says it renders for Kubernetes 1.20 unless told. */
const KUBE_VERSION = '1.35.4';

export interface HelmTarget {
  readonly chart?: string;
  readonly release?: string;
  readonly namespace?: string;
}

export interface HelmAnswer {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Values as a mapping; they are given to Helm as a file. */
export type Values = Readonly<Record<string, unknown>>;

/** The real Helm. Without a kubeconfig it can render alone. */
export class Helm {
  readonly #path: string;
  readonly #kubeconfig: string | undefined;

  constructor(path: string, kubeconfig?: string) {
    this.#path = path;
    this.#kubeconfig = kubeconfig;
  }

  withCluster(kubeconfig: string): Helm {
    return new Helm(this.#path, kubeconfig);
  }

  lint(values: Values): HelmAnswer {
    return this.run(['lint', CHART, '--strict', '--kube-version', KUBE_VERSION, '-f', '-'], values);
  }

  template(
    values: Values,
    { chart = CHART, release = 'pilotlight', namespace = 'models' }: HelmTarget = {},
  ): HelmAnswer {
    const where = ['-n', namespace, '--kube-version', KUBE_VERSION];
    return this.run(['template', release, chart, ...where, '-f', '-'], values);
  }

  /** The rendered objects. Throws what Helm says when it refuses. */
  objects(values: Values, target: HelmTarget = {}): KubeObject[] {
    const { code, stdout, stderr } = this.template(values, target);
    if (code !== 0) throw new Error(stderr);
    return toObjects(stdout);
  }

  run(args: readonly string[], values?: Values): HelmAnswer {
    const { status, stdout, stderr, error } = spawnSync(this.#path, args, {
      encoding: 'utf8',
      timeout: TIMEOUT_MS,
      input: values === undefined ? '' : JSON.stringify(values),
      env: { ...process.env, ...(this.#kubeconfig === undefined ? {} : { KUBECONFIG: this.#kubeconfig }) },
      maxBuffer: 64 * 1_024 * 1_024,
    });
    if (error) throw error;
    return { code: status, stdout, stderr };
  }
}

export function toObjects(yaml: string): KubeObject[] {
  return parseAllDocuments(yaml)
    .map((document) => {
      if (document.errors[0]) throw document.errors[0];
      return document.toJS() as KubeObject | null;
    })
    .filter((object) => object !== null);
}

export interface HelmOfFile {
  /** Inside of tests and hooks. */
  (): Helm;
  /** For hooks, which cannot be skipped. */
  readonly isMissing: () => boolean;
}

/** Helm for the tests of a file or `describe`: skipped where there is none, and with CI=true the run fails instead. */
export function useHelm(): HelmOfFile {
  let helm: Helm | undefined;
  let why = '';
  beforeAll(async () => {
    const found = await findTool('helm');
    if (found.kind === 'found') helm = new Helm(found.path);
    else if (process.env['CI'] === 'true') throw new Error(found.why);
    else why = found.why;
  }, FIND_TIMEOUT_MS);
  beforeEach(({ skip }) => {
    if (helm === undefined) skip(`no Helm: ${why}`);
  });
  const get = () => {
    if (helm === undefined) throw new Error('there is no Helm here');
    return helm;
  };
  return Object.assign(get, { isMissing: () => helm === undefined });
}

/** The least that the chart must be told. */
export const LEAST_VALUES: Values = {
  image: { repository: 'pilotlight' },
  redis: { existingSecret: { name: 'redis' } },
  config: { auth: { anonymous: { enabled: true } } },
};

const RIGHTS_KINDS = ['ServiceAccount', 'Role', 'RoleBinding', 'ClusterRole', 'ClusterRoleBinding'];

export interface ChartRights {
  /** Kubeconfigs of the ServiceAccounts, with the rights of the chart's Roles and no others. */
  readonly gateway: string;
  readonly controller: string;
  /** Takes away what is not in a namespace. */
  remove(): Promise<void>;
}

/**
 * Applies the accounts and Roles of the chart as rendered, with `workloads` that may be scaled in the namespace itself.
 * `installation` names the Lease.
 */
export async function applyRights(
  helm: Helm,
  { cluster, name }: TestNamespace,
  { installation, workloads }: { readonly installation: string; readonly workloads: readonly WorkloadRight[] },
): Promise<ChartRights> {
  const values = { ...LEAST_VALUES, installation, namespaces: [{ name, workloads }] };
  const objects = helm.objects(values, { namespace: name });
  const rights = objects.filter(({ kind }) => RIGHTS_KINDS.includes(kind ?? ''));
  await cluster.apply(rights);
  const kubeconfig = async (role: string) =>
    cluster.kubeconfigFor(await cluster.tokenFor(`pilotlight-${role}`, name), name);
  return {
    gateway: await kubeconfig('gateway'),
    controller: await kubeconfig('controller'),
    remove: () => cluster.remove(rights.filter(({ kind }) => kind?.startsWith('Cluster'))),
  };
}

/** As an entry of `namespaces[].workloads`. */
export interface WorkloadRight {
  readonly apiGroup: string;
  readonly resource: string;
  readonly name: string;
}
