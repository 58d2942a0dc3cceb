import { Redis } from 'ioredis';
import type { KubeObject } from '../../src/core/kubernetes.ts';
import { ON_KWOK, startKwok } from '../../tests/cluster/support/kwok.ts';
import { findTool } from '../../tests/cluster/support/tools/find-tool.ts';
import type { WatcherQuestion, WatcherUse } from './bare-watcher.ts';
import { BenchChild } from './child.ts';
import { poolObjects } from './kubernetes-objects.ts';
import type { KubernetesRig, Serving } from './kubernetes-rig.ts';
import { growthOf, type Samples, valueOf } from './metric-samples.ts';

export interface UpkeepOptions {
  readonly pools: number;
  readonly podsPerPool: number;
  readonly seconds: number;
  /** Share of the pods that is deleted within a minute of churn. */
  readonly churnPerMinute: number;
  readonly nodeFlags: readonly string[];
  readonly onProgress: (sentence: string) => void;
}

/** What one process took in one phase. */
export interface Upkeep {
  readonly process: 'bare watcher' | 'controller' | 'gateway';
  readonly cpuSecondsPerMinute: number;
  readonly rssMiB: number;
  readonly heapMiB: number | null;
  /** By verb and resource. */
  readonly apiRequestsPerMinute: Readonly<Record<string, number>> | null;
  /** Those inside of scripts included. NaN where the server does not tell it of each connection. */
  readonly redisCommandsPerMinute: number | null;
}

/** One phase: its processes, and the script calls of all of them together. */
export interface UpkeepPhase {
  readonly phase: string;
  readonly scriptCallsPerMinute: number;
  readonly processes: readonly Upkeep[];
}

const NAMESPACE = 'bench-upkeep';
const PODS_PER_NODE = 110;
/** Loopback, so that one process can answer for all of them. */
const POD_CIDR = '127.64.0.0/10';
const READY_WITHIN_MS = 5 * 60_000;
const LOOK_MS = 1_000;
/** What a start leaves behind (first reads, learned code) is not upkeep. */
const SETTLE_MS = 20_000;
const PODS_PATH = `/api/v1/namespaces/${NAMESPACE}/pods`;
const POLICIES_PATH = `/apis/pilotlight.dev/v1alpha1/namespaces/${NAMESPACE}/scalepolicies`;

/** A controller, and then a gateway beside it, with pools whose pods are all ready: at rest, and while pods come and go. */
export async function measureUpkeep(rig: KubernetesRig, options: UpkeepOptions): Promise<readonly UpkeepPhase[]> {
  const engines = await BenchChild.start<null>(new URL('./fake-engines.ts', import.meta.url));
  const watcher = await BenchChild.start<WatcherQuestion>(new URL('./bare-watcher.ts', import.meta.url));
  const redis = new Redis(rig.redis.url);
  try {
    await fill(rig, options, await engines.ask<number>(null));
    const { url, ca, adminToken: token } = rig.cluster.handle;
    await watcher.ask({ kind: 'watch', access: { url, ca, token }, paths: [PODS_PATH, POLICIES_PATH] });
    const stage: Stage = { rig, options, watcher, redis, processes: [] };
    const start = async (role: 'controller' | 'gateway'): Promise<void> => {
      const known = new Set(stage.processes.flatMap(({ clients }) => [...clients]));
      const before = await clientCommands(redis);
      const serving = await rig.serve(NAMESPACE, role, options.nodeFlags);
      await untilAllReady(serving, options);
      const clients = new Set(
        [...(await clientCommands(redis)).keys()].filter((id) => !known.has(id) && !before.has(id)),
      );
      stage.processes.push({ serving, clients });
      await rest(SETTLE_MS);
    };
    await start('controller');
    const alone = await measurePhase(stage, 'at rest, controller alone', 0);
    await start('gateway');
    const both = await measurePhase(stage, 'at rest', 0);
    const churn = await measurePhase(stage, 'churn', options.churnPerMinute);
    return [alone, both, churn];
  } finally {
    redis.disconnect();
    await watcher.stop();
    await engines.stop();
  }
}

interface Stage {
  readonly rig: KubernetesRig;
  readonly options: UpkeepOptions;
  readonly watcher: BenchChild<WatcherQuestion>;
  readonly redis: Redis;
  /** `clients`: the ids of its connections to Redis. */
  readonly processes: { readonly serving: Serving; readonly clients: ReadonlySet<string> }[];
}

async function fill(rig: KubernetesRig, options: UpkeepOptions, port: number): Promise<void> {
  const { cluster } = rig;
  await rig.addNamespace(NAMESPACE);
  const { pools, podsPerPool, onProgress } = options;
  const kwok = await findTool('kwok');
  if (kwok.kind === 'missing') throw new Error(`no kwok: ${kwok.why}; see docs/test-cluster.md`);
  const nodes = Math.ceil((1.1 * pools * podsPerPool) / PODS_PER_NODE);
  await startKwok(cluster, { program: kwok.path, nodes, podCidr: POD_CIDR });
  onProgress(`${nodes} nodes`);
  for (let index = 0; index < pools; index += 1) {
    const name = `pool-${index}`;
    await cluster.apply(
      poolObjects({ name, minReplicas: podsPerPool, maxReplicas: podsPerPool + 2, port, pod: ON_KWOK }),
      NAMESPACE,
    );
  }
  const deadlineMs = performance.now() + READY_WITHIN_MS;
  for (;;) {
    const pods = (await cluster.list('v1', 'Pod', NAMESPACE)) as Pod[];
    const ready = pods.filter(({ status }) => status?.phase === 'Running').length;
    onProgress(`${ready} pods`);
    if (ready >= pools * podsPerPool) return;
    if (performance.now() > deadlineMs) throw new Error(`${ready} of ${pools * podsPerPool} pods are ready`);
    await rest(LOOK_MS);
  }
}

interface Pod extends KubeObject {
  readonly status?: { readonly phase?: string };
}

async function untilAllReady(serving: Serving, { pools, podsPerPool }: UpkeepOptions): Promise<void> {
  const deadlineMs = performance.now() + READY_WITHIN_MS;
  for (;;) {
    // A machine with much to do lets the check of a token run into its deadline.
    const told = (await serving.status().catch(() => null))?.pools ?? [];
    const ready = told.reduce((sum, { replicas }) => sum + replicas.filter(({ phase }) => phase === 'Ready').length, 0);
    const known = told.filter(({ lastDecision }) => lastDecision !== null).length;
    if (known === pools && ready >= pools * podsPerPool) return;
    if (performance.now() > deadlineMs) throw new Error(`${serving.role} knows ${ready} ready pods of ${known} pools`);
    await rest(LOOK_MS);
  }
}

interface Reading {
  readonly atMs: number;
  readonly watcher: WatcherUse;
  readonly samples: readonly Samples[];
  readonly commands: ReadonlyMap<string, number>;
  readonly scriptCalls: number;
}

async function read({ watcher, processes, redis }: Stage): Promise<Reading> {
  return {
    watcher: await watcher.ask<WatcherUse>({ kind: 'use' }),
    samples: await Promise.all(processes.map(({ serving }) => serving.samples())),
    commands: await clientCommands(redis),
    scriptCalls: await scriptCalls(redis),
    atMs: performance.now(),
  };
}

async function measurePhase(stage: Stage, phase: string, churnPerMinute: number): Promise<UpkeepPhase> {
  const before = await read(stage);
  const churned = churnPerMinute > 0 ? await churn(stage, churnPerMinute) : 0;
  if (churnPerMinute === 0) await rest(stage.options.seconds * 1_000);
  const after = await read(stage);
  const minutes = (after.atMs - before.atMs) / 60_000;
  stage.options.onProgress(`${phase}: ${minutes.toFixed(2)} minutes, ${churned} pods deleted`);
  const bare: Upkeep = {
    process: 'bare watcher',
    cpuSecondsPerMinute: (after.watcher.cpuSeconds - before.watcher.cpuSeconds) / minutes,
    rssMiB: after.watcher.rssMiB,
    ...{ heapMiB: null, apiRequestsPerMinute: null, redisCommandsPerMinute: null },
  };
  const others = stage.processes.map(({ serving, clients }, index): Upkeep => {
    const [from, to] = [before.samples[index], after.samples[index]];
    if (from === undefined || to === undefined) throw new Error('a process was not read');
    const sent = [...clients].reduce(
      (sum, id) => sum + (after.commands.get(id) ?? 0) - (before.commands.get(id) ?? 0),
      0,
    );
    return {
      process: serving.role === 'controller' ? 'controller' : 'gateway',
      cpuSecondsPerMinute:
        (valueOf(to, 'process_cpu_seconds_total') - valueOf(from, 'process_cpu_seconds_total')) / minutes,
      rssMiB: valueOf(to, 'process_resident_memory_bytes') / 2 ** 20,
      heapMiB: valueOf(to, 'nodejs_heap_size_used_bytes') / 2 ** 20,
      apiRequestsPerMinute: requestsPerMinute(from, to, minutes),
      redisCommandsPerMinute: Math.round(sent / minutes),
    };
  });
  const scriptCallsPerMinute = Math.round((after.scriptCalls - before.scriptCalls) / minutes);
  return { phase, scriptCallsPerMinute, processes: [bare, ...others] };
}

function requestsPerMinute(from: Samples, to: Samples, minutes: number): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const [labels, count] of growthOf('pilotlight_kubernetes_requests_total', from, to)) {
    const [verb, resource, code] = ['verb', 'resource', 'code'].map(
      (label) => new RegExp(`${label}="([^"]*)"`).exec(labels)?.[1] ?? '?',
    );
    counts[`${verb} ${resource}${code === '200' ? '' : ` ${code}`}`] = Math.round((10 * count) / minutes) / 10;
  }
  return counts;
}

/** Deletes pods of all pools, evenly over the time. Returns how many. */
async function churn({ rig, options }: Stage, perMinute: number): Promise<number> {
  const { api } = rig.cluster;
  const count = Math.round((perMinute * options.pools * options.podsPerPool * options.seconds) / 60);
  const pods = await rig.cluster.list('v1', 'Pod', NAMESPACE);
  const startedMs = performance.now();
  for (let index = 0; index < count; index += 1) {
    const pod = pods[Math.floor((index * pods.length) / count)];
    await api.request({ method: 'DELETE', path: `${PODS_PATH}/${pod?.metadata.name ?? ''}` });
    const dueMs = startedMs + ((index + 1) * options.seconds * 1_000) / count;
    await rest(Math.max(0, dueMs - performance.now()));
  }
  return count;
}

/** Commands so far by connection. Redis before 8 and Valkey before 8.1 do not tell. */
async function clientCommands(redis: Redis): Promise<ReadonlyMap<string, number>> {
  const list = String(await redis.client('LIST'));
  const own = String(await redis.client('ID'));
  const commands = new Map<string, number>();
  for (const line of list.split('\n')) {
    const id = /\bid=(\d+)/.exec(line)?.[1];
    const count = /\btot-cmds=(\d+)/.exec(line)?.[1];
    if (id !== undefined && id !== own) commands.set(id, Number(count ?? Number.NaN));
  }
  return commands;
}

async function scriptCalls(redis: Redis): Promise<number> {
  const stats = await redis.info('commandstats');
  const counts = stats.matchAll(/^cmdstat_(?:fcall|evalsha|eval):calls=(\d+)/gm);
  return [...counts].reduce((sum, [, calls]) => sum + Number(calls), 0);
}

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
