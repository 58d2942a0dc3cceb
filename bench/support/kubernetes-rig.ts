import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import type { StatusReport } from '../../src/core/status.ts';
import { type ResolvedRedis, resolveRedis } from '../../src/platform/local-redis/resolve.ts';
import type { ServeMessage } from '../../src/roles/announcer.ts';
import { type Cluster, startCluster } from '../../tests/cluster/support/cluster.ts';
import { findClusterTools } from '../../tests/cluster/support/tools/cluster-tools.ts';
import { until } from '../../tests/support/until.ts';
import { auditArgs } from './audit-log.ts';
import { type Samples, samplesOf } from './metric-samples.ts';
import { MAIN } from './stage.ts';

const CRDS = fileURLToPath(new URL('../../infra/crds/', import.meta.url));
const READY_WITHIN_MS = 60_000;
const REDIS_WITHIN_MS = 5 * 60_000;

export type ClusterRole = 'all' | 'gateway' | 'controller';

/** One `pilotlight serve` that works with the control plane of a rig. */
export interface Serving {
  readonly role: ClusterRole;
  readonly apiUrl: string;
  readonly pid: number;
  status(): Promise<StatusReport>;
  /** What its /metrics says now. */
  samples(): Promise<Samples>;
  stop(): Promise<void>;
}

export interface RigOptions {
  readonly redisUrl: string | undefined;
  /** Without a scheduler, pods stay Pending. */
  readonly scheduler: boolean;
}

/** A control plane that writes when each scale patch came and was stored, and a Redis; all on loopback. */
export class KubernetesRig {
  readonly cluster: Cluster;
  readonly redis: ResolvedRedis;
  readonly folder: string;
  readonly #serving: Serving[] = [];

  private constructor(cluster: Cluster, redis: ResolvedRedis, folder: string) {
    this.cluster = cluster;
    this.redis = redis;
    this.folder = folder;
  }

  static async open({ redisUrl, scheduler }: RigOptions): Promise<KubernetesRig> {
    const found = await findClusterTools();
    if (found.kind === 'missing') throw new Error(`no control plane: ${found.why}; see docs/test-cluster.md`);
    const folder = await mkdtemp(join(tmpdir(), 'pilotlight-bench-'));
    const redis = await resolveRedis(
      {
        url: redisUrl,
        dataDir: join(folder, 'redis'),
        persistence: 'aof',
        lifetime: 'with-process',
        onProgress: (sentence) => process.stderr.write(`${sentence}\n`),
      },
      AbortSignal.timeout(REDIS_WITHIN_MS),
    );
    const apiServerArgs = await auditArgs(folder);
    const cluster = await startCluster({ tools: found.tools, apiServerArgs, scheduler });
    for (const file of (await readdir(CRDS)).filter((name) => name.endsWith('.yaml'))) {
      await cluster.apply(await readFile(join(CRDS, file), 'utf8'));
    }
    return new KubernetesRig(cluster, redis, folder);
  }

  async addNamespace(name: string): Promise<void> {
    await this.cluster.apply([{ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }]);
    // Pods are refused before it is there.
    const hasAccount = async () => (await this.cluster.get('v1', 'ServiceAccount', 'default', name)) !== null;
    await until(hasAccount, `${name} has a ServiceAccount`);
    await this.cluster.apply([mayEverything(name)], name);
  }

  /** Starts one, as the administrator of the control plane; its installation is named like its namespace. */
  async serve(namespace: string, role: ClusterRole, nodeFlags: readonly string[] = []): Promise<Serving> {
    const name = `${namespace}-${role}-${this.#serving.length}`;
    const spec = {
      installation: namespace,
      role,
      server: { port: 0 },
      admin: { port: 0 },
      auth: { anonymous: { trusted: true } },
      kubernetes: { enabled: true, namespaces: [namespace], namespace, kubeconfig: this.cluster.kubeconfig },
    };
    const file = join(this.folder, `${name}.yaml`);
    await writeFile(file, stringify({ apiVersion: 'pilotlight.dev/v1alpha1', kind: 'Configuration', spec }));
    const log = join(this.folder, `${name}.log`);
    const child = this.#spawn(name, file, log, nodeFlags);
    const { apiUrl, adminUrl, pid } = await readyMessage(child, log);
    const token = await this.cluster.tokenFor('default', namespace, { audiences: ['pilotlight'] });
    const ask = async (path: string): Promise<Response> => {
      const answer = await fetch(`${adminUrl}${path}`, { headers: { authorization: `Bearer ${token}` } });
      if (!answer.ok) throw new Error(`${name}: ${path} answered ${answer.status}: ${await answer.text()}`);
      return answer;
    };
    const serving: Serving = {
      role,
      apiUrl,
      pid,
      status: async () => (await (await ask('/status')).json()) as StatusReport,
      samples: async () => samplesOf(await (await ask('/metrics')).text()),
      stop: () => stopChild(child),
    };
    this.#serving.push(serving);
    return serving;
  }

  async close(): Promise<void> {
    await Promise.all(this.#serving.map((serving) => serving.stop()));
    await this.cluster.close();
    await this.redis.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  #spawn(name: string, file: string, logPath: string, nodeFlags: readonly string[]): ChildProcess {
    const log = openSync(logPath, 'a');
    const child = spawn(process.execPath, [...nodeFlags, MAIN, 'serve', '-f', file], {
      stdio: ['ignore', log, log, 'ipc'],
      env: {
        ...process.env,
        NODE_ENV: 'production',
        PILOTLIGHT_EXIT_WITH_PARENT: '1',
        PILOTLIGHT_DATA_DIR: join(this.folder, `${name}-data`),
        PILOTLIGHT_REDIS_URL: this.redis.url,
      },
    });
    closeSync(log);
    return child;
  }
}

/** So that its ServiceAccount may ask for the status. */
function mayEverything(namespace: string): object {
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name: 'bench' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
    subjects: [{ kind: 'ServiceAccount', name: 'default', namespace }],
  };
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}

type Ready = Extract<ServeMessage, { type: 'ready' }>;

async function readyMessage(child: ChildProcess, logPath: string): Promise<Ready> {
  const told = Promise.withResolvers<Ready>();
  const refuse = (why: string): void => told.reject(new Error(`pilotlight serve ${why} (see ${logPath})`));
  const timer = setTimeout(() => refuse('was not ready in time'), READY_WITHIN_MS);
  child.on('message', (received) => {
    const message = received as ServeMessage;
    if (message.type === 'ready') told.resolve(message);
    if (message.type === 'failed') refuse(`did not start: ${message.message}`);
  });
  child.once('exit', () => refuse('ended'));
  try {
    return await told.promise;
  } finally {
    clearTimeout(timer);
  }
}
