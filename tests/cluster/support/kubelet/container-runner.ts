import { existsSync } from 'node:fs';
import { type ShimmedChild, startChild } from '../../../../src/autoscaler/adapters/process-target/shimmed-child.ts';
import { asError } from '../../../../src/core/errors.ts';
import type { Behaviour } from './behaviour.ts';
import { ContainerConfigError, expand, type PodPlace, type References, resolveEnvironment } from './environment.ts';
import { type ImageMap, type LocalImage, localCommand } from './images.ts';
import type { LocalTexts } from './local-paths.ts';
import type { Container, ContainerState, ContainerStatus, Pod, Probe } from './objects.ts';
import { handle, type ProbeTarget, pause, runProbe } from './probes.ts';
import { isForgiven, isRestarted, pullDelayMs, restartDelayMs } from './restart-rules.ts';

/** What a container needs of its pod and node. */
export interface ContainerWorld {
  /** As last heard. */
  pod(): Pod;
  behaviour(): Behaviour;
  readonly images: ImageMap;
  readonly place: PodPlace;
  readonly texts: LocalTexts;
  readonly references: References;
  /** What every container of the pod gets before its own. */
  readonly environment: Readonly<Record<string, string>>;
  readonly folder: string;
  readonly logPath: string;
  /** Init containers run to their end; others are started again. */
  readonly restartPolicy: 'Always' | 'OnFailure' | 'Never';
  event(type: 'Normal' | 'Warning', reason: string, message: string): void;
  /** Resolves when the annotations are so, or the pod is told to end. */
  until(holds: (behaviour: Behaviour) => boolean): Promise<void>;
  changed(): void;
}

const CONFIG_RETRY_MS = 500;
/** A kubelet never gives less for SIGTERM, even when preStop took all of the grace. */
const LEAST_GRACE_MS = 2_000;
const START_FAILED = 128;
const KILLED = 137;

/** One container from the pull of its image to its end, restarts included. */
export class ContainerRunner {
  readonly spec: Container;
  readonly #world: ContainerWorld;
  /** Aborts when it is told to end. */
  readonly #ending = new AbortController();
  #state: ContainerState = { waiting: { reason: 'ContainerCreating' } };
  #lastState: ContainerState = {};
  #ready = false;
  #started = false;
  #restarts = 0;
  #starts = 0;
  #child: ShimmedChild | null = null;
  #forcedEnd: { readonly exitCode: number; readonly reason: string } | null = null;
  #env: Record<string, string> = {};

  constructor(spec: Container, world: ContainerWorld) {
    this.spec = spec;
    this.#world = world;
  }

  status(): ContainerStatus {
    const id = this.#containerId();
    return {
      name: this.spec.name,
      image: this.spec.image ?? '',
      imageID: this.#starts === 0 ? '' : `test.pilotlight.dev/${this.spec.image ?? ''}`,
      ...(this.#starts === 0 ? {} : { containerID: id }),
      state: this.#state,
      lastState: this.#lastState,
      ready: this.#ready && this.#world.behaviour().readiness !== 'failing',
      started: this.#started,
      restartCount: this.#restarts,
    };
  }

  get exitCode(): number | null {
    return this.#state.terminated?.exitCode ?? null;
  }

  /** Resolves when it has ended and is not started again. */
  async run(): Promise<void> {
    const image = await this.#pull();
    let crashes = 0;
    while (image !== null && !this.#isTold()) {
      const startedAtMs = performance.now();
      const exitCode = await this.#runOnce(image);
      if (exitCode === null || this.#isTold() || !isRestarted(this.#world.restartPolicy, exitCode)) return;
      const { backoffMs } = this.#world.behaviour();
      crashes = isForgiven(performance.now() - startedAtMs, backoffMs) ? 1 : crashes + 1;
      await this.#backOff(restartDelayMs(crashes, backoffMs));
      this.#restarts += 1;
    }
  }

  /** preStop, SIGTERM, and SIGKILL when the grace has passed; at once with 0. Returns when it has ended. */
  async end(graceMs: number): Promise<void> {
    this.#ending.abort();
    if (this.#child === null) return;
    this.#world.event('Normal', 'Killing', `Stopping container ${this.spec.name}`);
    await this.#stopChild(this.#child, graceMs);
  }

  /** SIGKILL, when less time is left than was promised. */
  kill(): void {
    this.#ending.abort();
    this.#child?.kill();
  }

  /** SIGKILL as if by itself: it is started again. */
  crash(): void {
    this.#child?.kill();
  }

  #isTold(): boolean {
    return this.#ending.signal.aborted;
  }

  /** The image, once it is there; null when told to end before. */
  async #pull(): Promise<LocalImage | null> {
    const event = this.#world.event.bind(this.#world);
    const name = this.spec.image ?? '';
    for (let failures = 0; !this.#isTold(); ) {
      const { pullMs, pullBackoffMs } = this.#world.behaviour();
      event('Normal', 'Pulling', `Pulling image "${name}"`);
      await this.#world.until(({ hang }) => hang !== 'pulling');
      await pause(pullMs, this.#ending.signal);
      if (this.#isTold()) return null;
      const { pullError } = this.#world.behaviour();
      const image = this.#world.images[name];
      if (pullError === null && image !== undefined) {
        event('Normal', 'Pulled', `Successfully pulled image "${name}" in ${pullMs}ms`);
        return image;
      }
      failures += 1;
      const why = pullError ?? `failed to resolve reference "${name}": not found`;
      const message = `Failed to pull image "${name}": ${why}`;
      event('Warning', 'Failed', message);
      event('Warning', 'Failed', 'Error: ErrImagePull');
      this.#wait('ErrImagePull', why);
      const delayMs = pullDelayMs(failures, pullBackoffMs);
      await pause(Math.min(1_000, delayMs / 4), this.#ending.signal);
      event('Normal', 'BackOff', `Back-off pulling image "${name}"`);
      event('Warning', 'Failed', 'Error: ImagePullBackOff');
      this.#wait('ImagePullBackOff', `Back-off pulling image "${name}": ErrImagePull: ${why}`);
      await pause(delayMs, this.#ending.signal);
    }
    return null;
  }

  /** Exit code, or null when it was told to end before it started. */
  async #runOnce(image: LocalImage): Promise<number | null> {
    const { texts } = this.#world;
    const env = await this.#configure(image);
    if (env === null) return null;
    await pause(this.#world.behaviour().createMs, this.#ending.signal);
    if (this.#isTold()) return null;
    this.#env = env;
    const [command, args] = [this.spec.command ?? [], this.spec.args ?? []].map((words) =>
      words.map((word) => texts.text(expand(word, env))),
    ) as [string[], string[]];
    const local = await localCommand(image, command, args);
    this.#starts += 1;
    this.#world.event('Normal', 'Created', 'Container created');
    try {
      if (local.kind === 'missing') throw new Error(`exec: "${local.program}": executable file not found in $PATH`);
      this.#child = await this.#start(local.argv, env);
    } catch (thrown) {
      return this.#failToStart(asError(thrown).message);
    }
    this.#world.event('Normal', 'Started', 'Container started');
    return await this.#watch(this.#child);
  }

  async #configure(image: LocalImage): Promise<Record<string, string> | null> {
    const { place, references, texts, environment } = this.#world;
    while (!this.#isTold()) {
      try {
        const own = await resolveEnvironment(this.spec, this.#world.pod(), place, references);
        const fitted = Object.entries(own).map(([name, value]) => [name, texts.text(value)] as const);
        return { ...environment, ...image.env, ...Object.fromEntries(fitted) };
      } catch (error) {
        // Anything else is an API server that is away.
        if (error instanceof ContainerConfigError) {
          this.#world.event('Warning', 'Failed', `Error: ${error.message}`);
          this.#wait('CreateContainerConfigError', error.message);
        }
        await pause(CONFIG_RETRY_MS, this.#ending.signal);
      }
    }
    return null;
  }

  #start([program = '', ...args]: readonly string[], env: Record<string, string>): Promise<ShimmedChild> {
    const { folder, logPath, texts } = this.#world;
    const asked = texts.text(this.spec.workingDir ?? folder);
    const workingDir = existsSync(asked) ? asked : folder;
    return startChild({ program, args, env, workingDir, logPath, graceMs: LEAST_GRACE_MS });
  }

  #failToStart(message: string): number {
    const nowIso = iso();
    this.#world.event('Warning', 'Failed', `Error: ${message}`);
    const times = { startedAt: nowIso, finishedAt: nowIso, containerID: this.#containerId() };
    this.#lastState = { terminated: { exitCode: START_FAILED, reason: 'StartError', message, ...times } };
    this.#wait('RunContainerError', message);
    return START_FAILED;
  }

  async #watch(child: ShimmedChild): Promise<number> {
    const startedAt = iso();
    if (this.#state.terminated !== undefined) this.#lastState = this.#state;
    this.#forcedEnd = null;
    this.#state = { running: { startedAt } };
    this.#started = this.spec.startupProbe === undefined;
    this.#ready = false;
    if (this.#started) this.#startProbes(child);
    else this.#probe('Startup', child);
    this.#world.changed();
    this.#crashLater(child);
    if (this.#isTold()) child.kill();
    const { code } = await child.exited;
    const { exitCode, reason } = this.#endOf(code);
    const times = { startedAt, finishedAt: iso(), containerID: this.#containerId() };
    this.#state = { terminated: { exitCode, reason, ...times } };
    this.#child = null;
    this.#ready = false;
    this.#started = false;
    this.#world.changed();
    return exitCode;
  }

  #endOf(code: number | null): { readonly exitCode: number; readonly reason: string } {
    return this.#forcedEnd ?? { exitCode: code ?? KILLED, reason: code === 0 ? 'Completed' : 'Error' };
  }

  #crashLater(child: ShimmedChild): void {
    const { crashAfterMs, crashTimes, crashExitCode: exitCode, crashReason: reason } = this.#world.behaviour();
    if (crashAfterMs === null || this.#starts > crashTimes) return;
    void pause(crashAfterMs, child.gone).then(() => {
      if (!child.running || this.#isTold()) return;
      this.#forcedEnd = { exitCode, reason };
      child.kill();
    });
  }

  #startProbes(child: ShimmedChild): void {
    this.#probe('Liveness', child);
    if (this.spec.readinessProbe === undefined) this.#ready = true;
    else this.#probe('Readiness', child);
  }

  #probe(kind: 'Startup' | 'Liveness' | 'Readiness', child: ShimmedChild): void {
    const probe = {
      Startup: this.spec.startupProbe,
      Liveness: this.spec.livenessProbe,
      Readiness: this.spec.readinessProbe,
    }[kind];
    if (probe === undefined) return;
    const done = new AbortController();
    // Only readiness is looked at until the container's end.
    const until = kind === 'Readiness' ? [child.gone] : [child.gone, this.#ending.signal, done.signal];
    const onResult = (passed: boolean) => {
      if (kind === 'Readiness') this.#ready = passed;
      else if (!passed) this.#restart(kind, probe, child);
      else if (kind === 'Startup') {
        done.abort();
        this.#started = true;
        this.#startProbes(child);
      }
      this.#world.changed();
    };
    const run = {
      kind,
      probe,
      target: this.#probeTarget(),
      periodMs: this.#world.behaviour().probeMs,
      forcedToFail: () => kind === 'Readiness' && this.#world.behaviour().readiness === 'failing',
      onFailure: (message: string) => this.#world.event('Warning', 'Unhealthy', message),
      onResult,
    };
    void runProbe(run, AbortSignal.any(until));
  }

  #restart(kind: string, probe: Probe, child: ShimmedChild): void {
    const message = `Container ${this.spec.name} failed ${kind.toLowerCase()} probe, will be restarted`;
    this.#world.event('Normal', 'Killing', message);
    const graceS = probe.terminationGracePeriodSeconds ?? graceSecondsOf(this.#world.pod());
    void this.#stopChild(child, graceS * 1_000);
  }

  async #stopChild(child: ShimmedChild, graceMs: number): Promise<void> {
    const endMs = performance.now() + graceMs;
    const preStop = this.spec.lifecycle?.preStop;
    if (preStop !== undefined && graceMs > 0) {
      const within = AbortSignal.any([child.gone, AbortSignal.timeout(graceMs)]);
      const problem = await handle(preStop, this.#probeTarget(), graceMs, within);
      if (problem !== null) this.#world.event('Warning', 'FailedPreStopHook', `PreStopHook failed: ${problem}`);
    }
    if (graceMs <= 0) child.kill();
    child.terminate();
    const left = Math.max(endMs - performance.now(), Math.min(LEAST_GRACE_MS, graceMs));
    const timer = setTimeout(() => child.kill(), left);
    await child.exited;
    clearTimeout(timer);
  }

  async #backOff(delayMs: number): Promise<void> {
    if (delayMs <= 0) return;
    const { name, namespace, uid } = this.#world.pod().metadata;
    const pod = `${name}_${namespace}(${uid})`;
    this.#world.event('Warning', 'BackOff', `Back-off restarting failed container ${this.spec.name} in pod ${pod}`);
    const seconds = `${delayMs / 1_000}s`;
    if (this.#state.terminated !== undefined) this.#lastState = this.#state;
    this.#wait('CrashLoopBackOff', `back-off ${seconds} restarting failed container=${this.spec.name} pod=${pod}`);
    await pause(delayMs, this.#ending.signal);
  }

  #probeTarget(): ProbeTarget {
    const image = this.#world.images[this.spec.image ?? ''];
    return {
      container: this.spec,
      podIp: this.#world.place.podIp,
      command: async (argv) => {
        const fitted = argv.map((word) => this.#world.texts.text(word));
        const local = await localCommand(image ?? { entrypoint: [] }, fitted, []);
        return local.kind === 'missing' ? null : { argv: local.argv, env: this.#env };
      },
    };
  }

  #wait(reason: string, message: string): void {
    this.#state = { waiting: { reason, message } };
    this.#world.changed();
  }

  #containerId(): string {
    return `process://${this.#world.pod().metadata.uid}/${this.spec.name}/${this.#starts}`;
  }
}

/** Whole seconds, as the API has them. */
export function iso(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, 'Z');
}

export function graceSecondsOf(pod: Pod): number {
  const spec = pod.spec as { readonly terminationGracePeriodSeconds?: number };
  return pod.metadata.deletionGracePeriodSeconds ?? spec.terminationGracePeriodSeconds ?? 30;
}
