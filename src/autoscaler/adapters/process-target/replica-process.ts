import type { Clock } from '../../../core/clock.ts';
import type { Endpoint } from '../../../core/endpoint.ts';
import { asError } from '../../../core/errors.ts';
import type { PoolSpec, ProcessTarget, ScaleTarget } from '../../../core/objects.ts';
import type { BootTrouble, WarmUpPhase } from '../../../core/replicas.ts';
import { formatDuration } from '../../../core/units.ts';
import type { TargetReplica } from '../../policy/target-replica.ts';
import { childEnv } from './child-env.ts';
import { commandLine, fillIn } from './command-line.ts';
import { logTail } from './output-log.ts';
import { probeDelayMs, probeReadiness } from './readiness.ts';
import { restartDelayMs } from './restart-delay.ts';
import { describeExit, type ShimmedChild, startChild } from './shimmed-child.ts';

const HOST = '127.0.0.1';
/** A server that does not listen while it loads (vLLM) is taken to load once its process has lived this long. */
const LOADING_AFTER_MS = 1_000;
const PROBE_TIMEOUT_MS = 5_000;
/** Looks at a ready server are at least this far apart, and this many failed ones in a row make it not ready. */
const READY_PROBE_MS = 5_000;
const FAILED_PROBES = 3;

export interface ReplicaSettings {
  readonly uid: string;
  readonly pool: PoolSpec;
  readonly target: ScaleTarget;
  readonly process: ProcessTarget;
  readonly templateHash: string;
  readonly logPath: string;
}

export interface ReplicaWorld {
  readonly clock: Clock;
  readonly self: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Between TERM and KILL. */
  readonly graceMs: number;
  takePort(host: string): Promise<number>;
  returnPort(port: number): void;
  started(uid: string, pid: number): void;
  ended(uid: string): void;
  changed(replica: ReplicaProcess): void;
}

type BootEnd =
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly why: string; readonly trouble: TroubleKind };
type ServeEnd = { readonly kind: 'stopped' } | { readonly kind: 'crashed' | 'failed'; readonly why: string };
type TroubleKind = Extract<BootTrouble['kind'], 'StartError' | 'CrashLoop' | 'Overdue'>;

/**
 * One local model server from its order to its end.
 *
 * | phase            | entered when                                        | leaves by |
 * | Requested        | ordered, or waiting to be restarted after a crash   | spawned → ContainerStarted; no program → Stuck |
 * | ContainerStarted | the process runs                                    | it listens, or has lived 1 s → ModelLoading |
 * | ModelLoading     | it loads, or a ready one failed 3 looks in a row    | 200 → Ready; exit or boot timeout → Stuck |
 * | Ready            | the readiness path answers 200                      | exit → Requested (restart); drain → Draining |
 * | Draining         | marked, or told to end                              | undrain → Ready; exit → gone |
 * | Stuck            | the boot failed, or it stayed not ready             | told to end → gone |
 */
export class ReplicaProcess {
  readonly settings: ReplicaSettings;
  readonly #world: ReplicaWorld;
  readonly #requestedAtEpochMs: number;
  readonly #stop = new AbortController();
  #phase: WarmUpPhase = 'Requested';
  #phaseSinceEpochMs: number;
  #readyAtEpochMs: number | null = null;
  #message: string | null = null;
  #restarts = 0;
  #trouble: BootTrouble | null = null;
  #slotsPerEndpoint: ScaleTarget['slotsPerEndpoint'];
  #drainMarked = false;
  #port: number | null = null;
  #child: ShimmedChild | null = null;
  /** Aborts when the child ends or the replica is told to end. */
  #ended: AbortSignal = this.#stop.signal;

  constructor(settings: ReplicaSettings, world: ReplicaWorld) {
    this.settings = settings;
    this.#world = world;
    this.#requestedAtEpochMs = world.clock.epochMs();
    this.#phaseSinceEpochMs = this.#requestedAtEpochMs;
    this.#slotsPerEndpoint = settings.target.slotsPerEndpoint;
  }

  view(): TargetReplica {
    const endpoint = this.endpoint();
    return {
      uid: this.settings.uid,
      pool: this.settings.pool.key,
      target: this.settings.target.name,
      phase: this.#phase,
      requestedAtEpochMs: this.#requestedAtEpochMs,
      phaseSinceEpochMs: this.#phaseSinceEpochMs,
      readyAtEpochMs: this.#readyAtEpochMs,
      endpointIds: endpoint === null ? [] : [endpoint.id],
      message: this.#message,
      restarts: this.#restarts,
      trouble: this.#trouble,
      removalOrder: null,
      templateHash: this.settings.templateHash,
      terminating: this.#stop.signal.aborted,
    };
  }

  /** Its address while it serves; null before, after a crash, and from the moment it is told to end. */
  endpoint(): Endpoint | null {
    const { pool, target, uid } = this.settings;
    if (this.#stop.signal.aborted || this.#readyAtEpochMs === null || this.#port === null) return null;
    return {
      id: `${uid}@${HOST}:${this.#port}`,
      pool: pool.key,
      url: `http://${HOST}:${this.#port}`,
      target: target.name,
      slotsPerEndpoint: this.#slotsPerEndpoint,
      readyAtEpochMs: this.#readyAtEpochMs,
      draining: this.#drainMarked,
    };
  }

  /** Slots of a changed target apply at once; the rest to the next replica. */
  configure({ slotsPerEndpoint }: ScaleTarget): void {
    if (this.#slotsPerEndpoint === slotsPerEndpoint) return;
    this.#slotsPerEndpoint = slotsPerEndpoint;
    this.#world.changed(this);
  }

  drain(marked: boolean): void {
    if (this.#readyAtEpochMs === null || this.#stop.signal.aborted || this.#drainMarked === marked) return;
    this.#drainMarked = marked;
    this.#enter(marked ? 'Draining' : 'Ready');
  }

  stop(): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    if (this.#phase === 'Draining') this.#world.changed(this);
    else this.#enter('Draining');
  }

  /** Runs it until it is told to end; resolves when nothing of it is left. Never rejects. */
  async run(): Promise<void> {
    let restartDelay = 0;
    while (!this.#stop.signal.aborted) {
      const boot = await this.#boot();
      if (boot.kind === 'failed') {
        await this.#beStuck(boot.why, boot.trouble);
        break;
      }
      const ready = this.#world.clock.monotonicMs();
      const end = await this.#serve();
      if (end.kind === 'failed') await this.#beStuck(end.why, 'Overdue');
      if (end.kind !== 'crashed' || this.#drainMarked) break;
      restartDelay = restartDelayMs(restartDelay, this.#world.clock.monotonicMs() - ready);
      await this.#waitForRestart(restartDelay, end.why);
    }
    this.#stop.abort();
    await this.#endChild();
  }

  async #boot(): Promise<BootEnd> {
    try {
      await this.#spawn();
    } catch (thrown) {
      return { kind: 'failed', why: asError(thrown).message, trouble: 'StartError' };
    }
    const child = this.#child;
    if (child === null) return { kind: 'failed', why: 'told to end before it started', trouble: 'StartError' };
    return await this.#awaitReady(child);
  }

  async #spawn(): Promise<void> {
    const { process: spec, uid, logPath } = this.settings;
    this.#port = await this.#world.takePort(HOST);
    if (this.#stop.signal.aborted) return;
    const address = { host: HOST, port: this.#port };
    const own = Object.entries(spec.env).map(([name, value]) => [name, fillIn(value, address)]);
    const env = childEnv(this.#world.environment, Object.fromEntries(own) as Record<string, string>, uid);
    const command = commandLine(spec.command, {
      ...address,
      workingDir: spec.workingDir,
      searchPath: env['PATH'] ?? '',
      self: this.#world.self,
    });
    if (command.kind === 'missing') throw new Error(command.why);
    const { program, args } = command;
    const graceMs = this.#world.graceMs;
    this.#child = await startChild({ program, args, env, workingDir: spec.workingDir, logPath, graceMs });
    this.#ended = AbortSignal.any([this.#stop.signal, this.#child.gone]);
    this.#world.started(uid, this.#child.pid);
    this.#enter('ContainerStarted');
  }

  async #awaitReady(child: ShimmedChild): Promise<BootEnd> {
    const { clock } = this.#world;
    const { bootTimeoutMs } = this.settings.pool.scale;
    const startedMs = clock.monotonicMs();
    for (;;) {
      const elapsedMs = clock.monotonicMs() - startedMs;
      if (this.#stop.signal.aborted)
        return { kind: 'failed', why: 'told to end while it booted', trouble: 'CrashLoop' };
      if (!child.running)
        return { kind: 'failed', why: `${describeExit(await child.exited)} while it booted`, trouble: 'CrashLoop' };
      if (elapsedMs > bootTimeoutMs) {
        return {
          kind: 'failed',
          why: `not ready after ${formatDuration(bootTimeoutMs)} (boot.timeout)`,
          trouble: 'Overdue',
        };
      }
      const readiness = await this.#probe();
      if (readiness === 'ready') {
        this.#becomeReady();
        return { kind: 'ready' };
      }
      if (readiness === 'loading' || elapsedMs > LOADING_AFTER_MS) this.#enter('ModelLoading');
      await this.#pause(probeDelayMs(elapsedMs, this.settings.process.readinessEveryMs));
    }
  }

  /** Watches a ready server until it ends, is told to end, or stays not ready for as long as a boot may take. */
  async #serve(): Promise<ServeEnd> {
    const child = this.#child;
    const { bootTimeoutMs } = this.settings.pool.scale;
    const everyMs = Math.max(READY_PROBE_MS, this.settings.process.readinessEveryMs);
    let failedProbes = 0;
    while (child?.running === true && !this.#stop.signal.aborted) {
      await this.#pause(everyMs);
      if (this.#ended.aborted) break;
      failedProbes = (await this.#probe()) === 'ready' ? 0 : failedProbes + 1;
      if (failedProbes === 0 && this.#readyAtEpochMs === null) this.#becomeReady();
      if (failedProbes === FAILED_PROBES) this.#becomeNotReady();
      if (failedProbes >= FAILED_PROBES && failedProbes * everyMs > bootTimeoutMs) {
        return { kind: 'failed', why: `not ready again after ${formatDuration(bootTimeoutMs)} (boot.timeout)` };
      }
    }
    if (this.#stop.signal.aborted || child === null) return { kind: 'stopped' };
    this.#loseEndpoint();
    return { kind: 'crashed', why: describeExit(await child.exited) };
  }

  async #waitForRestart(delayMs: number, ended: string): Promise<void> {
    this.#forgetChild();
    this.#restarts += 1;
    this.#message = `crashed: ${ended}; restarting in ${formatDuration(delayMs)}; output in ${this.settings.logPath}`;
    this.#world.changed(this);
    await this.#world.clock.sleep(delayMs, this.#stop.signal).catch(() => undefined);
  }

  async #beStuck(why: string, kind: TroubleKind): Promise<void> {
    if (this.#stop.signal.aborted) return;
    const tail = logTail(this.settings.logPath);
    this.#message = tail === '' ? why : `${why}; last output: ${tail}`;
    this.#trouble = { kind, message: this.#message, permanent: false, blocksOrders: false };
    this.#enter('Stuck');
    await new Promise<void>((resolve) => {
      this.#stop.signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  async #endChild(): Promise<void> {
    const child = this.#child;
    if (child?.running === true) {
      child.terminate();
      const given = new AbortController();
      const grace = this.#world.clock.sleep(this.#world.graceMs, given.signal).then(
        () => child.kill(),
        () => undefined,
      );
      await child.exited;
      given.abort();
      await grace;
    }
    this.#forgetChild();
  }

  #forgetChild(): void {
    this.#world.ended(this.settings.uid);
    if (this.#port !== null) this.#world.returnPort(this.#port);
    this.#child = null;
    this.#port = null;
    this.#readyAtEpochMs = null;
    this.#drainMarked = false;
  }

  /** At once after a crash, before anything is cleaned up. A draining one is not started again. */
  #loseEndpoint(): void {
    this.#readyAtEpochMs = null;
    if (this.#drainMarked) this.#world.changed(this);
    else this.#enter('Requested');
  }

  #becomeReady(): void {
    this.#readyAtEpochMs = this.#world.clock.epochMs();
    this.#message = null;
    this.#enter('Ready');
  }

  #becomeNotReady(): void {
    if (this.#readyAtEpochMs === null) return;
    this.#readyAtEpochMs = null;
    this.#drainMarked = false;
    this.#message = `${this.settings.process.readinessPath} failed ${FAILED_PROBES} times in a row`;
    this.#enter('ModelLoading');
  }

  #probe(): ReturnType<typeof probeReadiness> {
    const address = { host: HOST, port: this.#port ?? 0 };
    return probeReadiness(address, this.settings.process.readinessPath, PROBE_TIMEOUT_MS, this.#stop.signal);
  }

  /** Waits, but no longer than the child lives or until it is told to end. */
  async #pause(delayMs: number): Promise<void> {
    await this.#world.clock.sleep(delayMs, this.#ended).catch(() => undefined);
  }

  #enter(phase: WarmUpPhase): void {
    if (this.#phase === phase) return;
    this.#phase = phase;
    this.#phaseSinceEpochMs = this.#world.clock.epochMs();
    this.#world.changed(this);
  }
}
