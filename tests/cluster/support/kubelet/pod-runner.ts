import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { KubeApiError } from '../../../../src/core/kubernetes.ts';
import { orNull } from '../api.ts';
import type { ClusterAccess } from '../cluster-access.ts';
import { kubeconfigWithTokenFile } from '../kubeconfig.ts';
import type { AddressBlock } from './addresses.ts';
import { type Behaviour, behaviourOf } from './behaviour.ts';
import { ContainerRunner, graceSecondsOf, iso } from './container-runner.ts';
import type { PodPlace, References } from './environment.ts';
import type { EventRecorder } from './events.ts';
import type { ImageMap } from './images.ts';
import { LocalTexts } from './local-paths.ts';
import type { Container, Pod } from './objects.ts';
import type { PodView } from './pod-status.ts';
import { pause } from './probes.ts';
import { StatusWriter } from './status-writer.ts';
import { MountError, PodVolumes } from './volumes.ts';

/** What all pods of one kubelet share. */
export interface NodeWorld {
  readonly cluster: ClusterAccess;
  readonly images: ImageMap;
  readonly addresses: AddressBlock;
  readonly events: EventRecorder;
  readonly references: (namespace: string) => References;
  /** Folder of pods' files. */
  readonly folder: string;
}

const SERVICE_ACCOUNT_PATH = '/var/run/secrets/kubernetes.io/serviceaccount';
const MOUNT_RETRY_MS = 500;
const REFRESH_MS = 1_000;
const DELETE_RETRY_MS = 100;
const INHERITED = ['PATH', 'LANG', 'LC_ALL', 'TZ'];

/** One pod on its node, from its binding to its removal. */
export class PodRunner {
  readonly #world: NodeWorld;
  readonly #folder: string;
  readonly #address: string;
  readonly #status: StatusWriter;
  readonly #startTime = iso();
  /** Aborts when the pod is told to end, its object is gone, or the kubelet stops. */
  readonly #ending = new AbortController();
  /** Aborts when nobody is to hear of it any more. */
  readonly #abandoned = new AbortController();
  readonly #waiters = new Set<() => void>();
  #pod: Pod;
  #sandboxReady = false;
  #initialized: boolean;
  #initContainers: ContainerRunner[] = [];
  #containers: ContainerRunner[] = [];
  #refused: PodView['refused'] = null;
  #running: Promise<void> | null = null;
  #terminating = false;
  #cleaned = false;

  constructor(pod: Pod, world: NodeWorld) {
    this.#pod = pod;
    this.#world = world;
    this.#folder = join(world.folder, 'pods', pod.metadata.uid);
    this.#address = world.addresses.take();
    this.#initialized = (pod.spec.initContainers ?? []).length === 0;
    this.#status = new StatusWriter(world.cluster.api, () => this.#view());
  }

  /** The address that its processes listen on, whatever the status tells. */
  get address(): string {
    return this.#address;
  }

  /** Returns when its containers have ended for good, or it is told to end. */
  async start(): Promise<void> {
    this.#running = this.#run();
    await this.#running;
  }

  /** Its containers end by SIGKILL, and are started again if its restart policy says so. */
  crash(): void {
    for (const each of this.#containers) each.crash();
  }

  /** A newer version of its object. Resolves when it is gone, if that is what the object asks for. */
  async update(pod: Pod): Promise<void> {
    const before = this.#pod;
    this.#pod = pod;
    for (const wake of this.#waiters) wake();
    if (pod.metadata.deletionTimestamp === undefined) {
      this.#status.changed();
      return;
    }
    const graceMs = graceSecondsOf(pod) * 1_000;
    if (!this.#terminating) {
      this.#terminating = true;
      await this.#terminate(graceMs);
    } else if (graceMs < graceSecondsOf(before) * 1_000) {
      setTimeout(() => this.#kill(), graceMs).unref();
    }
  }

  /** Without a word to the API server: its object is gone, or the kubelet stops. Returns when nothing of it is left. */
  async abandon(): Promise<void> {
    this.#terminating = true;
    this.#abandoned.abort();
    this.#status.close();
    this.#kill();
    await this.#running;
    await this.#cleanUp();
  }

  async #run(): Promise<void> {
    await mkdir(join(this.#folder, 'root'), { recursive: true });
    await mkdir(join(this.#world.folder, 'logs'), { recursive: true });
    const { admissionError } = this.#behaviour();
    if (admissionError !== null) {
      this.#refused = {
        reason: 'UnexpectedAdmissionError',
        message: `Allocate failed due to ${admissionError}, which is unexpected`,
      };
      this.#event('Warning', 'UnexpectedAdmissionError', this.#refused.message);
      this.#status.changed();
      return;
    }
    const texts = new LocalTexts(this.#pod, join(this.#folder, 'root'), this.#address);
    const volumes = this.#volumes(texts);
    const { initContainers = [], containers } = this.#pod.spec;
    const environment: Record<string, string> = {};
    const policy = this.#pod.spec.restartPolicy ?? 'Always';
    this.#initContainers = initContainers.map((spec) =>
      this.#container(spec, texts, environment, policy === 'Never' ? 'Never' : 'OnFailure'),
    );
    this.#containers = containers.map((spec) => this.#container(spec, texts, environment, policy));
    this.#status.changed();
    await this.#until(({ hang }) => hang !== 'creating');
    if (!(await this.#mount(volumes))) return;
    Object.assign(environment, await this.#environment(texts));
    await pause(this.#behaviour().sandboxMs, this.#ending.signal);
    if (this.#isTold()) return;
    this.#sandboxReady = true;
    this.#status.changed();
    for (const each of this.#initContainers) {
      await each.run();
      if (this.#isTold() || each.exitCode !== 0) return;
    }
    this.#initialized = true;
    const refreshing = this.#refresh(volumes);
    await Promise.all(this.#containers.map((each) => each.run()));
    await (this.#isTold() ? refreshing : undefined);
  }

  /** As a kubelet: preStop and SIGTERM within the grace, the last status, and only then the object goes. */
  async #terminate(graceMs: number): Promise<void> {
    this.#ending.abort();
    await Promise.all([...this.#initContainers, ...this.#containers].map((each) => each.end(graceMs)));
    await this.#running;
    await pause(this.#behaviour().terminateMs, this.#abandoned.signal);
    this.#status.changed();
    await this.#status.flush();
    await this.#deleteObject();
    this.#status.close();
    await this.#cleanUp();
  }

  async #deleteObject(): Promise<void> {
    const { name, namespace, uid } = this.#pod.metadata;
    const path = `/api/v1/namespaces/${namespace}/pods/${name}`;
    const body = { kind: 'DeleteOptions', apiVersion: 'v1', gracePeriodSeconds: 0, preconditions: { uid } };
    while (!this.#abandoned.signal.aborted) {
      try {
        await orNull(this.#world.cluster.api.request({ method: 'DELETE', path, body }));
        return;
      } catch (error) {
        if (!(error instanceof KubeApiError) || (error.status !== 0 && error.status < 500)) return;
        await pause(DELETE_RETRY_MS, this.#abandoned.signal);
      }
    }
  }

  async #mount(volumes: PodVolumes): Promise<boolean> {
    while (!this.#isTold()) {
      try {
        const { mountError } = this.#behaviour();
        if (mountError !== null) throw new MountError(mountError);
        await volumes.mount();
        return true;
      } catch (error) {
        if (error instanceof MountError) this.#event('Warning', 'FailedMount', error.message);
        else if (!(error instanceof KubeApiError)) throw error;
        await pause(MOUNT_RETRY_MS, this.#ending.signal);
      }
    }
    return false;
  }

  async #refresh(volumes: PodVolumes): Promise<void> {
    if ((this.#pod.spec.volumes ?? []).every(({ emptyDir }) => emptyDir !== undefined)) return;
    while (!this.#isTold()) {
      await pause(REFRESH_MS, this.#ending.signal);
      if (this.#isTold()) return;
      await volumes.refresh().catch((error: unknown) => {
        // An API server that is away: the files stay as they are.
        if (!(error instanceof KubeApiError)) throw error;
      });
    }
  }

  /** What each container gets beside its own: the API server's place, and the pod's identity if it has one. */
  async #environment(texts: LocalTexts): Promise<Record<string, string>> {
    const { cluster } = this.#world;
    const { namespace, name } = this.#pod.metadata;
    const inherited = INHERITED.flatMap((key) => {
      const value = process.env[key];
      return value === undefined ? [] : [[key, value] as const];
    });
    const { hostname, port } = new URL(cluster.url);
    const service = {
      KUBERNETES_SERVICE_HOST: hostname,
      KUBERNETES_SERVICE_PORT: port,
      KUBERNETES_SERVICE_PORT_HTTPS: port,
    };
    const own: Record<string, string> = { HOSTNAME: name, HOME: this.#folder, ...service };
    if (existsSync(texts.path('/tmp'))) own['TMPDIR'] = texts.path('/tmp');
    const tokenFile = join(texts.path(SERVICE_ACCOUNT_PATH), 'token');
    if (existsSync(tokenFile)) {
      own['KUBECONFIG'] = join(this.#folder, 'kubeconfig');
      const text = kubeconfigWithTokenFile(cluster.url, cluster.handle.ca, tokenFile, namespace);
      await writeFile(own['KUBECONFIG'], text, { mode: 0o600 });
    }
    return { ...Object.fromEntries(inherited), ...own };
  }

  #container(
    spec: Container,
    texts: LocalTexts,
    environment: Readonly<Record<string, string>>,
    restartPolicy: 'Always' | 'OnFailure' | 'Never',
  ): ContainerRunner {
    const { images, folder } = this.#world;
    const { namespace, name } = this.#pod.metadata;
    return new ContainerRunner(spec, {
      pod: () => this.#pod,
      behaviour: () => this.#behaviour(),
      images,
      place: this.#place,
      texts,
      references: this.#world.references(namespace),
      environment,
      folder: this.#folder,
      logPath: join(folder, 'logs', `${namespace}_${name}_${spec.name}.log`),
      restartPolicy,
      event: (type, reason, message) => this.#event(type, reason, message, spec.name),
      until: (holds) => this.#until(holds),
      changed: () => this.#status.changed(),
    });
  }

  #volumes(texts: LocalTexts): PodVolumes {
    const { namespace } = this.#pod.metadata;
    const { cluster, references } = this.#world;
    const serviceAccount = this.#pod.spec.serviceAccountName ?? 'default';
    return new PodVolumes(this.#folder, {
      pod: this.#pod,
      place: this.#place,
      texts,
      references: references(namespace),
      token: (audience, expirationSeconds) =>
        cluster.tokenFor(serviceAccount, namespace, {
          expirationSeconds,
          ...(audience === undefined ? {} : { audiences: [audience] }),
          boundPod: this.#pod,
        }),
      monotonicMs: () => performance.now(),
    });
  }

  #view(): PodView {
    const { podIp, disruptionTarget } = this.#behaviour();
    return {
      pod: this.#pod,
      startTime: this.#startTime,
      sandboxReady: this.#sandboxReady,
      podIp: podIp === 'none' ? null : (podIp ?? this.#address),
      hostIp: this.#place.hostIp,
      initialized: this.#initialized,
      initContainers: this.#initContainers.map((each) => each.status()),
      containers: this.#containers.map((each) => each.status()),
      refused: this.#refused,
      disruption: disruptionTarget,
    };
  }

  /** Waits for annotations that fulfil the condition, or for the end. */
  async #until(holds: (behaviour: Behaviour) => boolean): Promise<void> {
    while (!this.#isTold() && !holds(this.#behaviour())) {
      await new Promise<void>((resolve) => {
        this.#waiters.add(resolve);
        this.#ending.signal.addEventListener('abort', () => resolve(), { once: true });
      });
      this.#waiters.clear();
    }
  }

  #isTold(): boolean {
    return this.#ending.signal.aborted;
  }

  get #place(): PodPlace {
    return { podIp: this.#address, hostIp: this.#world.addresses.hostAddress };
  }

  #behaviour(): Behaviour {
    return behaviourOf(this.#pod);
  }

  #event(type: 'Normal' | 'Warning', reason: string, message: string, container?: string): void {
    this.#world.events.record(this.#pod, type, reason, message, container);
  }

  #kill(): void {
    this.#ending.abort();
    for (const each of [...this.#initContainers, ...this.#containers]) each.kill();
  }

  async #cleanUp(): Promise<void> {
    if (this.#cleaned) return;
    this.#cleaned = true;
    this.#world.addresses.give(this.#address);
    await rm(this.#folder, { recursive: true, force: true });
  }
}
