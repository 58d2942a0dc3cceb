import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import type { ProxyQuestion } from './baseline-proxy.ts';
import { BenchChild, type CpuUs } from './child.ts';
import type { Cell, CpuPerCallUs, TargetName } from './http-summary.ts';
import type { LoadOrder, LoadQuestion, LoadReport } from './load.ts';
import { foreignRatio, machineCpu } from './quiet.ts';
import { redisVersion } from './results.ts';
import { Stage } from './stage.ts';

/** "tight" is for load that has to queue, "roomy" for load that has not. */
const POOLS = [
  { name: 'roomy', slots: 128, minReplicas: 1 },
  { name: 'tight', slots: 8, minReplicas: 1 },
] as const;
export type PoolName = (typeof POOLS)[number]['name'];

const PINGS = 400;
const PING_EVERY_MS = 5;

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export interface RigOptions {
  readonly redisUrl: string | undefined;
  /** Folder for CPU profiles of `pilotlight serve`, written when it ends. */
  readonly profileFolder: string | undefined;
  /** Another checkout, measured as the target "other". */
  readonly against: string | undefined;
}

/** One checkout of Pilotlight as it runs, with what its CPU time is read from. */
interface Subject {
  readonly stage: Stage;
  readonly redis: Redis;
  readonly modelServers: Readonly<Record<PoolName, string>>;
}

type CpuTimesUs = Omit<CpuPerCallUs, 'load'>;

/** All processes of the HTTP bench. */
export class HttpRig {
  readonly #load: BenchChild<LoadQuestion>;
  readonly #proxy: BenchChild<ProxyQuestion>;
  readonly #proxyUrl: string;
  readonly #pilotlight: Subject;
  readonly #other: Subject | null;

  private constructor(parts: {
    load: BenchChild<LoadQuestion>;
    proxy: BenchChild<ProxyQuestion>;
    proxyUrl: string;
    pilotlight: Subject;
    other: Subject | null;
  }) {
    this.#load = parts.load;
    this.#proxy = parts.proxy;
    this.#proxyUrl = parts.proxyUrl;
    this.#pilotlight = parts.pilotlight;
    this.#other = parts.other;
  }

  static async open({ redisUrl, profileFolder, against }: RigOptions): Promise<HttpRig> {
    const profile = profileFolder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileFolder}`];
    const pilotlight = await openSubject(ROOT, redisUrl, profile);
    const other = against === undefined ? null : await openSubject(against, undefined, []);
    const load = await BenchChild.start<LoadQuestion>(new URL('./load.ts', import.meta.url));
    const proxy = await BenchChild.start<ProxyQuestion>(new URL('./baseline-proxy.ts', import.meta.url));
    const proxyUrl = await proxy.ask<string>({ kind: 'listen', upstreamUrl: pilotlight.modelServers.roomy });
    return new HttpRig({ load, proxy, proxyUrl, pilotlight, other });
  }

  redisVersion(): Promise<string> {
    return redisVersion(this.#pilotlight.redis);
  }

  async run(target: TargetName, order: Omit<LoadOrder, 'url'>): Promise<LoadReport> {
    const url = `${this.#urlOf(target)}/v1/chat/completions`;
    return this.#load.ask<LoadReport>({ kind: 'run', order: { ...order, url } });
  }

  /** Runs it and tells what each process spent on it. */
  async measure(target: TargetName, pool: PoolName, order: Omit<LoadOrder, 'url'>): Promise<Omit<Cell, 'scenario'>> {
    const subject = target === 'other' && this.#other ? this.#other : this.#pilotlight;
    const serverOf = target === 'pilotlight' || target === 'other' ? pool : 'roomy';
    const before = await this.#cpuOf(subject, serverOf);
    const machine = machineCpu();
    const report = await this.run(target, order);
    const after = await this.#cpuOf(subject, serverOf);
    const spentUs = (name: keyof CpuTimesUs): number => after[name] - before[name];
    const perCall = (name: keyof CpuTimesUs): number => spentUs(name) / report.answered;
    const ownUs = report.cpuUs + spentUs('proxy') + spentUs('pilotlight') + spentUs('redis') + spentUs('modelServer');
    const cpuUs: CpuPerCallUs = {
      load: report.cpuUs / report.answered,
      proxy: perCall('proxy'),
      pilotlight: perCall('pilotlight'),
      redis: perCall('redis'),
      modelServer: perCall('modelServer'),
    };
    return { target, report, cpuUs, foreignRatio: foreignRatio(machine, ownUs / 1_000) };
  }

  /** What one round trip to Redis takes at the rhythm of 200 calls a second: Pilotlight has one on the way of each call. */
  async pingUs(): Promise<{ readonly p50Us: number; readonly p99Us: number }> {
    const pings: number[] = [];
    for (let count = 0; count < PINGS; count += 1) {
      await new Promise((resolve) => setTimeout(resolve, PING_EVERY_MS));
      const sentAtMs = performance.now();
      await this.#pilotlight.redis.ping();
      pings.push((performance.now() - sentAtMs) * 1_000);
    }
    pings.sort((a, b) => a - b);
    const at = (ratio: number): number => Math.round(pings[Math.floor(PINGS * ratio)] ?? Number.NaN);
    return { p50Us: at(0.5), p99Us: at(0.99) };
  }

  async close(): Promise<void> {
    await Promise.all([this.#load.stop(), this.#proxy.stop()]);
    for (const subject of [this.#pilotlight, this.#other]) {
      subject?.redis.disconnect();
      await subject?.stage.close();
    }
  }

  #urlOf(target: TargetName): string {
    switch (target) {
      case 'direct':
        return this.#pilotlight.modelServers.roomy;
      case 'proxy':
        return this.#proxyUrl;
      case 'pilotlight':
        return this.#pilotlight.stage.apiUrl;
      case 'other':
        return (this.#other ?? this.#pilotlight).stage.apiUrl;
    }
  }

  async #cpuOf({ stage, redis, modelServers }: Subject, pool: PoolName): Promise<CpuTimesUs> {
    const [pilotlight, proxy, info, modelServer] = await Promise.all([
      stage.serveCpu(),
      this.#proxy.ask<CpuUs>({ kind: 'cpu' }),
      redis.info('cpu'),
      fetch(`${modelServers[pool]}/cpu`).then((answer) => answer.json() as Promise<CpuUs>),
    ]);
    const seconds = (name: string): number => Number(new RegExp(`${name}:([0-9.]+)`).exec(info)?.[1] ?? 0);
    const redisUs = (seconds('used_cpu_user') + seconds('used_cpu_sys')) * 1e6;
    return { pilotlight: pilotlight.cpuUs, proxy: proxy.cpuUs, redis: redisUs, modelServer: modelServer.cpuUs };
  }
}

async function openSubject(root: string, redisUrl: string | undefined, nodeFlags: readonly string[]): Promise<Subject> {
  const stage = await Stage.open({ main: join(root, 'src/main.ts'), pools: POOLS, redisUrl, nodeFlags });
  const [roomy, tight] = await Promise.all(POOLS.map(({ name }) => stage.modelServer(name)));
  const modelServers = { roomy: roomy ?? '', tight: tight ?? '' };
  return { stage, redis: new Redis(stage.redis.url), modelServers };
}
