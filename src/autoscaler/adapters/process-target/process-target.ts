import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Clock } from '../../../core/clock.ts';
import type { Endpoint, EndpointDirectory } from '../../../core/endpoint.ts';
import { asError } from '../../../core/errors.ts';
import type { Logger } from '../../../core/logger.ts';
import type { PoolKey, PoolSpec, ScaleTarget } from '../../../core/objects.ts';
import type { TargetReplica } from '../../policy/target-replica.ts';
import type { ScaleTargetPort, StartOrder, TargetState } from '../../ports.ts';
import { takeFreePort } from './free-port.ts';
import { capLog, pruneLogs } from './output-log.ts';
import { PidRegistry } from './pid-registry.ts';
import { ReplicaProcess, type ReplicaWorld } from './replica-process.ts';

/** Logs of ended replicas that are kept, over all pools. */
const KEPT_LOGS = 20;
const LOG_CHECK_MS = 5_000;

export interface ProcessTargetOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Folder for the children's output and the pid registry; one per Pilotlight, created when missing. */
  readonly dataDir: string;
  /** Program and arguments that run Pilotlight itself: what "pilotlight" stands for as the first word of a command. */
  readonly self: readonly string[];
  /** Where children inherit the allowed variables from: process.env. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Between TERM and KILL, also when Pilotlight itself dies. */
  readonly graceMs?: number;
  /** A child's output file is cut (one old part is kept) when it is larger; checked every 5 s. */
  readonly maxLogBytes?: number;
}

/** Runs replicas as local processes, each on a loopback port of its own, and knows their endpoints. */
export class LocalProcesses implements ScaleTargetPort, EndpointDirectory {
  readonly #options: ProcessTargetOptions;
  readonly #registry: PidRegistry;
  readonly #logFolder: string;
  readonly #maxLogBytes: number;
  readonly #world: ReplicaWorld;
  readonly #replicas = new Map<string, ReplicaProcess>();
  readonly #runs = new Set<Promise<void>>();
  readonly #ports = new Set<number>();
  readonly #replicaListeners = new Set<(pool: PoolKey) => void>();
  readonly #endpointListeners = new Set<(pool: PoolKey) => void>();
  /** What was last told of each replica's endpoint. */
  readonly #toldEndpoints = new Map<string, string>();
  readonly #closed = new AbortController();
  #housekeeping: Promise<void> = Promise.resolve();

  /** Sweeps what an earlier Pilotlight with this data folder left behind. */
  constructor(options: ProcessTargetOptions) {
    this.#options = options;
    this.#maxLogBytes = options.maxLogBytes ?? 10 * 1_048_576;
    this.#logFolder = join(options.dataDir, 'replica-logs');
    mkdirSync(this.#logFolder, { recursive: true });
    this.#registry = new PidRegistry(join(options.dataDir, 'children'));
    const killed = this.#registry.sweep();
    if (killed > 0) options.log.warn({ processes: killed }, 'process_target.leftovers_killed');
    this.#world = this.#worldOf(options);
    this.#housekeeping = this.#keepLogsSmall();
  }

  supports(target: ScaleTarget): boolean {
    return target.process !== undefined;
  }

  /** Nothing but Pilotlight touches local processes, so nothing holds a target back. */
  state(_pool: PoolKey, target: ScaleTarget): TargetState {
    return {
      templateHash: templateHash(target),
      noUpWhy: null,
      noDownWhy: null,
      rollsItself: false,
      specReplicas: null,
      conditions: [],
    };
  }

  available(): { readonly ok: true } {
    return { ok: true };
  }

  replicas(pool: PoolKey): readonly TargetReplica[] {
    return this.#of(pool).map((replica) => replica.view());
  }

  list(pool: PoolKey): readonly Endpoint[] {
    return this.#of(pool)
      .map((replica) => replica.endpoint())
      .filter((endpoint) => endpoint !== null);
  }

  onReplicaChange(listener: (pool: PoolKey) => void): () => void {
    this.#replicaListeners.add(listener);
    return () => this.#replicaListeners.delete(listener);
  }

  onChange(listener: (pool: PoolKey) => void): () => void {
    this.#endpointListeners.add(listener);
    return () => this.#endpointListeners.delete(listener);
  }

  start(order: StartOrder): Promise<void> {
    if (this.#closed.signal.aborted) return Promise.resolve();
    for (let started = 0; started < order.count; started += 1) this.#startOne(order);
    return Promise.resolve();
  }

  configure(pool: PoolSpec): void {
    for (const replica of this.#of(pool.key)) {
      const target = pool.targets.find(({ name }) => name === replica.settings.target.name);
      if (target !== undefined) replica.configure(target);
    }
  }

  drain(_pool: PoolKey, uids: readonly string[]): Promise<void> {
    for (const uid of uids) this.#replicas.get(uid)?.drain(true);
    return Promise.resolve();
  }

  undrain(_pool: PoolKey, uids: readonly string[]): Promise<void> {
    for (const uid of uids) this.#replicas.get(uid)?.drain(false);
    return Promise.resolve();
  }

  stop(_pool: PoolKey, uids: readonly string[]): Promise<readonly string[]> {
    for (const uid of uids) this.#replicas.get(uid)?.stop();
    return Promise.resolve(uids);
  }

  /** Local processes belong to their policy: without it they end. */
  release(pool: PoolSpec): Promise<void> {
    for (const replica of this.#of(pool.key)) replica.stop();
    return Promise.resolve();
  }

  /** Ends every child and waits until all are gone: at most the grace and a little. */
  async close(): Promise<void> {
    this.#closed.abort();
    for (const replica of this.#replicas.values()) replica.stop();
    await Promise.all([...this.#runs, this.#housekeeping]);
  }

  #startOne({ pool, target }: StartOrder): void {
    if (target.process === undefined) throw new Error(`target ${target.name} has no process to run`);
    const uid = `${pool.name}-${target.name}-${randomBytes(5).toString('hex')}`;
    const logPath = join(this.#logFolder, `${uid}.log`);
    const replica = new ReplicaProcess(
      { uid, pool, target, process: target.process, templateHash: templateHash(target), logPath },
      this.#world,
    );
    this.#replicas.set(uid, replica);
    const run = this.#runOne(replica);
    this.#runs.add(run);
    void run.finally(() => this.#runs.delete(run));
    this.#changed(replica);
  }

  async #runOne(replica: ReplicaProcess): Promise<void> {
    const { uid } = replica.settings;
    try {
      await replica.run();
    } catch (thrown) {
      this.#options.log.error({ replica: uid, error: asError(thrown).message }, 'process_target.replica_failed');
    }
    this.#replicas.delete(uid);
    this.#changed(replica);
    this.#toldEndpoints.delete(uid);
    const inUse = new Set([...this.#replicas.values()].map(({ settings }) => basename(settings.logPath)));
    await pruneLogs(this.#logFolder, inUse, KEPT_LOGS).catch(() => undefined);
  }

  #worldOf(options: ProcessTargetOptions): ReplicaWorld {
    return {
      clock: options.clock,
      self: options.self,
      environment: options.environment,
      graceMs: options.graceMs ?? 10_000,
      takePort: (host) => takeFreePort(host, this.#ports),
      returnPort: (port) => this.#ports.delete(port),
      started: (uid, pid) => this.#registry.add(uid, pid),
      ended: (uid) => this.#registry.remove(uid),
      changed: (replica) => this.#changed(replica),
    };
  }

  #changed(replica: ReplicaProcess): void {
    const { uid, pool } = replica.settings;
    const { phase, message, restarts } = replica.view();
    this.#options.log.info({ pool: pool.key, replica: uid, phase, message, restarts }, 'replica.phase_changed');
    const endpoint = replica.endpoint();
    const told = endpoint === null ? '' : JSON.stringify(endpoint);
    if (told !== (this.#toldEndpoints.get(uid) ?? '')) {
      this.#toldEndpoints.set(uid, told);
      for (const listener of this.#endpointListeners) listener(pool.key);
    }
    for (const listener of this.#replicaListeners) listener(pool.key);
  }

  #of(pool: PoolKey): readonly ReplicaProcess[] {
    return [...this.#replicas.values()].filter((replica) => replica.settings.pool.key === pool);
  }

  async #keepLogsSmall(): Promise<void> {
    const { signal } = this.#closed;
    while (!signal.aborted) {
      await this.#options.clock.sleep(LOG_CHECK_MS, signal).catch(() => undefined);
      for (const { settings } of this.#replicas.values()) {
        await capLog(settings.logPath, this.#maxLogBytes).catch(() => undefined);
      }
    }
  }
}

function templateHash(target: ScaleTarget): string {
  return createHash('sha256')
    .update(JSON.stringify(target.process ?? null))
    .digest('hex')
    .slice(0, 12);
}
