import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { stringify } from 'yaml';
import type { StatusReport } from '../../../src/core/status.ts';
import type { ServeMessage } from '../../../src/roles/announcer.ts';
import { until } from '../../support/until.ts';
import type { TestNamespace } from './namespace.ts';

const MAIN = fileURLToPath(new URL('../../../src/main.ts', import.meta.url));
const SKEWED_CLOCK = new URL('./skewed-clock.ts', import.meta.url).href;
const START_DEADLINE_MS = 60_000;

export interface PilotlightOptions {
  /** That it works in; its installation is named like it. */
  readonly namespace: TestNamespace;
  /** Without one the settings say how to get to Redis. */
  readonly redisUrl?: string;
  /** Default: the administrator's. */
  readonly kubeconfig?: string;
  readonly role?: 'all' | 'gateway' | 'controller';
  /** Its name in Lease and Events. */
  readonly identity?: string;
  /** Sections of the Configuration, on top of what every test needs. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Reuses the folder, and so the stored jobs, of one that ended. */
  readonly folder?: string;
  /** On top of this process's. */
  readonly env?: Readonly<Record<string, string>>;
  /** Longest wait for its word that it is ready. Default 60 s. */
  readonly startWithinMs?: number;
  /** How far its clock is ahead of this machine's; negative: behind. */
  readonly clockAheadMs?: number;
  /** Registers the clean-up: the end of the test, unless a hook passes `afterAll`. */
  readonly atEnd?: (cleanUp: () => Promise<void>) => void;
}

type Ready = Extract<ServeMessage, { type: 'ready' }>;

/** A `pilotlight serve` process that works with the tests' control plane. */
export class Pilotlight {
  readonly folder: string;
  readonly #options: PilotlightOptions;
  readonly #child: ChildProcess;
  readonly #exited: Promise<number | null>;
  readonly #token: string;
  #ready: Ready | null = null;

  constructor(folder: string, options: PilotlightOptions, token: string) {
    this.folder = folder;
    this.#token = token;
    this.#options = options;
    this.#child = this.#spawn();
    this.#exited = once(this.#child, 'exit').then(([code]) => code as number | null);
  }

  get apiUrl(): string {
    return this.#told().apiUrl;
  }

  get adminUrl(): string {
    return this.#told().adminUrl;
  }

  /** Its name in Lease and Events, if it was given one. */
  get identity(): string {
    return this.#name();
  }

  get pid(): number {
    return this.#told().pid;
  }

  async ready(): Promise<this> {
    const failed = this.#exited.then((): ServeMessage => ({ type: 'failed', message: 'it ended' }));
    const silent = (error: unknown): ServeMessage => ({ type: 'failed', message: String(error) });
    const message = await Promise.race([firstWord(this.#child, this.#options.startWithinMs).catch(silent), failed]);
    if (message.type !== 'ready') throw new Error(`${this.#name()}: ${JSON.stringify(message)}\n${await this.log()}`);
    this.#ready = message;
    return this;
  }

  /** SIGTERM; the exit code once everything has stopped. */
  stop(): Promise<number | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGTERM');
    return this.#exited;
  }

  /** SIGKILL, as the kernel's out-of-memory killer would. */
  kill(): Promise<number | null> {
    this.#child.kill('SIGKILL');
    return this.#exited;
  }

  async status(): Promise<StatusReport> {
    const headers = { authorization: `Bearer ${this.#token}` };
    const answer = await fetch(`${this.adminUrl}/status`, { headers });
    if (!answer.ok) throw new Error(`/status answered ${answer.status}: ${await answer.text()}`);
    return (await answer.json()) as StatusReport;
  }

  /** Gives an order on the admin listener: "wake", "drain", "pause", "resume". */
  async order(pool: string, verb: string, body: unknown = {}): Promise<Response> {
    return fetch(`${this.adminUrl}/pools/${this.#options.namespace.name}/${pool}/${verb}`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${this.#token}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify(body),
    });
  }

  async pool(name: string): Promise<StatusReport['pools'][number] | undefined> {
    return (await this.status()).pools.find(({ pool }) => pool === `${this.#options.namespace.name}/${name}`);
  }

  /** Waits until what the status says of the pool holds; on failure the log is part of the error. */
  async untilPool(
    name: string,
    what: string,
    holds: (pool: StatusReport['pools'][number]) => boolean,
    deadlineMs = 60_000,
  ): Promise<StatusReport['pools'][number]> {
    let last: StatusReport['pools'][number] | undefined;
    const isSo = async () => {
      last = await this.pool(name).catch(() => undefined);
      return last !== undefined && holds(last);
    };
    await until(isSo, what, deadlineMs).catch(async (error: unknown) => {
      throw new Error(`${String(error)}\nlast: ${JSON.stringify(last, null, 1)}\n${await this.log()}`);
    });
    if (!last) throw new Error('unreachable');
    return last;
  }

  /** Waits until calls to this model lead somewhere: objects that were applied are heard of a moment later. */
  async untilModel(model: string): Promise<void> {
    await until(async () => {
      const { data } = (await (await fetch(`${this.apiUrl}/v1/models`)).json()) as { data: { id: string }[] };
      return data.some(({ id }) => id === model);
    }, `model ${model} is known`);
  }

  async log(): Promise<string> {
    return (await readFile(join(this.folder, `${this.#name()}.log`), 'utf8').catch(() => '')).slice(-20_000);
  }

  #name(): string {
    const { identity, role } = this.#options;
    return identity ?? role ?? 'all';
  }

  #spawn(): ChildProcess {
    const child = spawn(process.execPath, [MAIN, 'serve', '-f', join(this.folder, `${this.#name()}.yaml`)], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: {
        ...process.env,
        ...this.#options.env,
        PILOTLIGHT_EXIT_WITH_PARENT: '1',
        PILOTLIGHT_DATA_DIR: join(this.folder, 'data'),
        ...(this.#options.redisUrl !== undefined && { PILOTLIGHT_REDIS_URL: this.#options.redisUrl }),
        ...skewed(this.#options.clockAheadMs ?? 0),
      },
    });
    const log = createWriteStream(join(this.folder, `${this.#name()}.log`), { flags: 'a' });
    child.stdout?.pipe(log, { end: false });
    child.stderr?.pipe(log, { end: false });
    return child;
  }

  #told(): Ready {
    if (!this.#ready) throw new Error('it is not ready');
    return this.#ready;
  }
}

/** Starts one in a folder of its own; it is stopped and the folder removed when the test ends. */
export async function startPilotlight(options: PilotlightOptions): Promise<Pilotlight> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'pilotlight-cluster-')));
  const { role = 'all', identity, settings = {}, atEnd = onTestFinished } = options;
  const { name: namespace, cluster } = options.namespace;
  const kubeconfig = options.kubeconfig ?? cluster.kubeconfig;
  const spec = {
    installation: namespace,
    role,
    server: { port: 0 },
    admin: { port: 0 },
    auth: { anonymous: { trusted: true } },
    kubernetes: { enabled: true, namespaces: [namespace], namespace, kubeconfig, ...(identity && { identity }) },
    ...settings,
  };
  const document = { apiVersion: 'pilotlight.dev/v1alpha1', kind: 'Configuration', spec };
  await writeFile(join(folder, `${identity ?? role}.yaml`), stringify(document));
  const started = new Pilotlight(folder, options, await operatorToken(options.namespace));
  atEnd(async () => {
    await started.stop();
    if (options.folder === undefined) await rm(folder, { recursive: true, force: true });
  });
  return started.ready();
}

/** Environment of a process whose clock differs from this machine's. */
function skewed(aheadMs: number): Record<string, string> {
  if (aheadMs === 0) return {};
  return { TEST_CLOCK_AHEAD_MS: `${aheadMs}`, NODE_OPTIONS: `--import=${SKEWED_CLOCK}` };
}

/** Of a ServiceAccount that may see policies and give orders. */
async function operatorToken(namespace: TestNamespace): Promise<string> {
  await namespace.apply(`
apiVersion: v1
kind: ServiceAccount
metadata: {name: operator}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: operator}
rules: [{apiGroups: [pilotlight.dev], resources: [scalepolicies], verbs: [get, list, wake, drain, pause]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: operator}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: operator}
subjects: [{kind: ServiceAccount, name: operator, namespace: ${namespace.name}}]
`);
  return namespace.cluster.tokenFor('operator', namespace.name, { audiences: ['pilotlight'] });
}

function firstWord(child: ChildProcess, withinMs = START_DEADLINE_MS): Promise<ServeMessage> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`nothing told for ${withinMs} ms`)), withinMs);
    child.on('message', (message) => {
      if ((message as ServeMessage).type === 'progress') return;
      clearTimeout(timer);
      resolve(message as ServeMessage);
    });
  });
}
