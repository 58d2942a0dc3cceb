import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { takeFreePort } from '../../../src/autoscaler/adapters/process-target/free-port.ts';
import { asError } from '../../../src/core/errors.ts';
import { KubeApiError } from '../../../src/core/kubernetes.ts';
import { until } from '../../support/until.ts';
import { HarnessApi } from './api.ts';
import { ClusterAccess, type ClusterHandle } from './cluster-access.ts';
import { makeClusterFolder } from './cluster-folder.ts';
import { Component } from './component.ts';
import {
  apiServerArgs,
  controllerManagerArgs,
  DEFAULT_CONTROLLERS,
  etcdArgs,
  schedulerArgs,
} from './component-args.ts';
import { kubeconfigText } from './kubeconfig.ts';
import type { ClusterTools } from './tools/cluster-tools.ts';

export interface ClusterOptions {
  readonly tools: ClusterTools;
  /** Names of users without rights, in the token file; default tester-1 … tester-8. */
  readonly users?: readonly string[];
  /** Of the controller manager; default DEFAULT_CONTROLLERS. */
  readonly controllers?: readonly string[];
  /** Added to those of the API server, e.g. "--service-account-max-token-expiration=1h". */
  readonly apiServerArgs?: readonly string[];
  /** Without one, pods stay unscheduled. Default true. */
  readonly scheduler?: boolean;
}

type Components = Readonly<Record<'etcd' | 'apiServer' | 'controllerManager' | 'scheduler', Component | null>>;

const HOST = '127.0.0.1';
const READY_DEADLINE_MS = 60_000;
const API_SERVER_GRACE_MS = 3_000;
const DEFAULT_USERS = Array.from({ length: 8 }, (_, index) => `tester-${index + 1}`);
const takenPorts = new Set<number>();

/**
 * A control plane of this process's own: etcd, API server, controller manager and scheduler on loopback, in a folder of
 * its own. It ends with `close`, or with this process however that ends.
 */
export class Cluster extends ClusterAccess {
  readonly #components: Components;
  readonly #closers: (() => Promise<void>)[] = [];
  #closed = false;

  constructor(handle: ClusterHandle, components: Components) {
    super(handle);
    this.#components = components;
  }

  /** Process ids of what runs now. */
  get pids(): readonly number[] {
    return Object.values(this.#components)
      .filter((component) => component?.running === true)
      .map((component) => component?.pid ?? 0);
  }

  /** SIGTERM, or at once. Nothing listens on the port when it returns. */
  async stopApiServer(how: 'gracefully' | 'at once' = 'gracefully'): Promise<void> {
    const server = this.#components.apiServer;
    await (how === 'at once' ? server?.kill() : server?.stop(API_SERVER_GRACE_MS));
  }

  /** On the same port with the same keys, certificate and data; returns when it is ready. */
  async startApiServer(): Promise<void> {
    const server = this.#components.apiServer;
    if (server === null) return;
    await server.start();
    await untilReady(this.api, server);
  }

  async restartApiServer(how: 'gracefully' | 'at once' = 'gracefully'): Promise<void> {
    await this.stopApiServer(how);
    await this.startApiServer();
  }

  async stopScheduler(): Promise<void> {
    await this.#components.scheduler?.stop();
  }

  async startScheduler(): Promise<void> {
    await this.#components.scheduler?.start();
  }

  async stopControllerManager(): Promise<void> {
    await this.#components.controllerManager?.stop();
  }

  async startControllerManager(): Promise<void> {
    await this.#components.controllerManager?.start();
  }

  /** Run before the control plane ends, last added first: kubelets, KWOK. */
  onClose(closer: () => Promise<void>): void {
    this.#closers.push(closer);
  }

  /** Ends everything in the reverse order of its start and removes the folder. Returns when nothing is left. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const closer of this.#closers.reverse()) await closer();
    const { scheduler, controllerManager, apiServer, etcd } = this.#components;
    await Promise.all([scheduler?.kill(), controllerManager?.kill()]);
    await this.disconnect();
    await apiServer?.kill();
    await etcd?.kill();
    await rm(this.handle.folder, { recursive: true, force: true });
  }
}

/** Starts a control plane and returns when its API server is ready and its controllers run: about 4 s. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const folder = await makeClusterFolder();
  const started: Component[] = [];
  try {
    return await start(folder, options, started);
  } catch (error) {
    for (const component of started.reverse()) await component.kill();
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function start(folder: string, options: ClusterOptions, started: Component[]): Promise<Cluster> {
  const { tools, users: names = DEFAULT_USERS, controllers = DEFAULT_CONTROLLERS } = options;
  const [client, peer, secure] = [await freePort(), await freePort(), await freePort()];
  const files = filesOf(folder);
  const adminToken = randomBytes(24).toString('base64url');
  const users = Object.fromEntries(names.map((name) => [name, randomBytes(24).toString('base64url')]));
  await mkdir(files.certificates, { recursive: true });
  await writeFile(files.tokens, tokenFile(adminToken, users), { mode: 0o600 });
  await writeFile(files.serviceAccountKey, newKey(), { mode: 0o600 });

  const etcd = new Component('etcd', tools.etcd, etcdArgs({ data: files.etcd, client, peer }), folder);
  const flags = [...apiServerArgs({ files, etcdPort: client, port: secure }), ...(options.apiServerArgs ?? [])];
  const apiServer = new Component('kube-apiserver', tools['kube-apiserver'], flags, folder);
  for (const component of [etcd, apiServer]) {
    started.push(component);
    await component.start();
  }

  await untilStarted(apiServer, () => readFile(files.certificate, 'utf8').then((text) => text.includes('END CERT')));
  const ca = await readFile(files.certificate, 'utf8');
  const handle: ClusterHandle = { url: `https://${HOST}:${secure}`, ca, folder, adminToken, users };
  await writeFile(files.kubeconfig, kubeconfigText({ url: handle.url, ca, token: adminToken }), { mode: 0o600 });
  const probe = new HarnessApi({ url: handle.url, ca, token: adminToken });
  await untilReady(probe, apiServer);
  await probe.close();

  const managerArgs = controllerManagerArgs({ files, controllers });
  const controllerManager = new Component(
    'kube-controller-manager',
    tools['kube-controller-manager'],
    managerArgs,
    folder,
  );
  const scheduler =
    options.scheduler === false
      ? null
      : new Component('kube-scheduler', tools['kube-scheduler'], schedulerArgs({ files }), folder);
  for (const component of [controllerManager, scheduler].filter((each) => each !== null)) {
    started.push(component);
    await component.start();
  }
  return new Cluster(handle, { etcd, apiServer, controllerManager, scheduler });
}

export interface ClusterFiles {
  readonly etcd: string;
  readonly certificates: string;
  readonly certificate: string;
  readonly tokens: string;
  readonly serviceAccountKey: string;
  readonly kubeconfig: string;
}

function filesOf(folder: string): ClusterFiles {
  return {
    etcd: join(folder, 'etcd'),
    certificates: join(folder, 'certificates'),
    // The API server makes it: its own certificate and the one that signed it.
    certificate: join(folder, 'certificates', 'apiserver.crt'),
    tokens: join(folder, 'tokens.csv'),
    serviceAccountKey: join(folder, 'service-account.key'),
    kubeconfig: join(folder, 'admin.kubeconfig'),
  };
}

function tokenFile(adminToken: string, users: Readonly<Record<string, string>>): string {
  const lines = Object.entries(users).map(([name, token], index) => `${token},${name},${index + 2}`);
  return `${[`${adminToken},admin,1,"system:masters"`, ...lines].join('\n')}\n`;
}

function newKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ type: 'sec1', format: 'pem' }).toString();
}

function freePort(): Promise<number> {
  return takeFreePort(HOST, takenPorts);
}

async function untilReady(api: HarnessApi, server: Component): Promise<void> {
  await untilStarted(server, async () => {
    try {
      await api.request({ method: 'GET', path: '/readyz', timeoutMs: 2_000 });
      return true;
    } catch (error) {
      if (error instanceof KubeApiError) return false;
      throw error;
    }
  });
}

/** Fails at once, with the end of its log, when the program ends. */
async function untilStarted(component: Component, holds: () => Promise<boolean>): Promise<void> {
  const look = async () => !component.running || (await holds().catch(() => false));
  const problem = await until(look, `${component.name} is ready`, READY_DEADLINE_MS).catch(asError);
  if (problem === undefined && component.running) return;
  throw new Error(`${component.name} did not get ready:\n${await component.logTail()}`, { cause: problem });
}
