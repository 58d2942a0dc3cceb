import { Redis } from 'ioredis';
import { ON_KWOK, startKwok } from '../../tests/cluster/support/kwok.ts';
import { findTool } from '../../tests/cluster/support/tools/find-tool.ts';
import { until } from '../../tests/support/until.ts';
import { BenchChild } from './child.ts';
import { poolObjects } from './kubernetes-objects.ts';
import type { KubernetesRig, Serving } from './kubernetes-rig.ts';
import type { LoadOrder, LoadQuestion, LoadReport, Phase } from './load.ts';
import { valueOf } from './metric-samples.ts';
import { quantile } from './statistics.ts';

export interface ReplicasOptions {
  /** The largest number of gateways. */
  readonly gateways: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly nodeFlags: readonly string[];
  readonly onProgress: (sentence: string) => void;
}

/** One scenario with so many gateways, in one round. The load is the same whatever their number. */
export interface ReplicasCell {
  readonly scenario: string;
  readonly gateways: number;
  readonly answered: number;
  readonly failed: number;
  readonly perSecond: number;
  /** Of the slowest generator; each has its own gateway. */
  readonly p50Us: number;
  readonly p99Us: number;
  readonly gatewayCpuUs: number;
  readonly redisCpuUs: number;
  /** Turns of the ledger, and bytes to and from Redis, for each call. */
  readonly turns: number;
  readonly redisBytesIn: number;
  readonly redisBytesOut: number;
}

interface Scenario {
  readonly name: string;
  readonly pool: 'roomy' | 'tight';
  readonly phase: Phase;
}

const NAMESPACE = 'bench-replicas';
const POD_CIDR = '127.64.0.0/10';
const WARM_UP_SECONDS = 3;
/** One pod has 8 slots. */
const POOLS = [
  { name: 'roomy', pods: 16 },
  { name: 'tight', pods: 2 },
] as const;

const SCENARIOS: readonly Scenario[] = [
  { name: 'closed-48', pool: 'roomy', phase: { kind: 'closed', connections: 48 } },
  { name: 'queued-192', pool: 'tight', phase: { kind: 'closed', connections: 192 } },
  { name: 'open-300', pool: 'roomy', phase: { kind: 'open', perSecond: 300 } },
];

interface Stage {
  readonly redis: Redis;
  readonly options: ReplicasOptions;
  readonly gateways: readonly Serving[];
  readonly loads: readonly BenchChild<LoadQuestion>[];
}

/** The same load on one, two and more of the gateways of one Redis, in turn and in alternating order. */
export async function measureReplicas(rig: KubernetesRig, options: ReplicasOptions): Promise<readonly ReplicasCell[]> {
  const engines = await BenchChild.start<null>(new URL('./fake-engines.ts', import.meta.url));
  const redis = new Redis(rig.redis.url);
  const loads: BenchChild<LoadQuestion>[] = [];
  try {
    await fill(rig, await engines.ask<number>(null));
    await rig.serve(NAMESPACE, 'controller', options.nodeFlags);
    const gateways: Serving[] = [];
    for (let index = 0; index < options.gateways; index += 1) {
      gateways.push(await rig.serve(NAMESPACE, 'gateway', options.nodeFlags));
      loads.push(await BenchChild.start<LoadQuestion>(new URL('./load.ts', import.meta.url)));
    }
    const stage: Stage = { redis, options, gateways, loads };
    await warmUp(stage);
    const counts = gateways.map((_, index) => index + 1);
    const cells: ReplicasCell[] = [];
    for (let round = 0; round < options.rounds; round += 1) {
      for (const scenario of SCENARIOS) {
        for (const count of round % 2 === 0 ? counts : counts.toReversed()) {
          cells.push(await measure(stage, scenario, count));
        }
      }
      options.onProgress(`round ${round + 1} of ${options.rounds}`);
    }
    return cells;
  } finally {
    redis.disconnect();
    await Promise.all([engines, ...loads].map((child) => child.stop()));
  }
}

async function fill(rig: KubernetesRig, port: number): Promise<void> {
  await rig.addNamespace(NAMESPACE);
  const kwok = await findTool('kwok');
  if (kwok.kind === 'missing') throw new Error(`no kwok: ${kwok.why}; see docs/test-cluster.md`);
  await startKwok(rig.cluster, { program: kwok.path, nodes: 1, podCidr: POD_CIDR });
  for (const { name, pods } of POOLS) {
    const pool = { name, minReplicas: pods, maxReplicas: pods, port, pod: ON_KWOK };
    await rig.cluster.apply(poolObjects(pool), NAMESPACE);
  }
}

/** Slow start is over when every slot is open; then every gateway has compiled what it runs. */
async function warmUp(stage: Stage): Promise<void> {
  for (const scenario of SCENARIOS) {
    await Promise.all(stage.gateways.map((_, index) => load(stage, index, scenario, WARM_UP_SECONDS, 1)));
  }
  const slots = 8 * POOLS.reduce((sum, { pods }) => sum + pods, 0);
  const [first] = stage.gateways;
  const areOpen = async (): Promise<boolean> => {
    const { pools } = (await first?.status()) ?? { pools: [] };
    return pools.reduce((sum, pool) => sum + pool.slots.open, 0) >= slots;
  };
  await until(areOpen, 'every slot is open');
}

async function measure(stage: Stage, scenario: Scenario, count: number): Promise<ReplicasCell> {
  const before = await read(stage);
  const indices = Array.from({ length: count }, (_, index) => index);
  const reports = await Promise.all(
    indices.map((index) => load(stage, index, scenario, stage.options.seconds, 1 / count)),
  );
  const after = await read(stage);
  const sum = (of: (report: LoadReport) => number): number => reports.reduce((total, report) => total + of(report), 0);
  const answered = sum((report) => report.answered);
  const perCall = (of: (reading: Reading) => number): number => (of(after) - of(before)) / answered;
  return {
    scenario: scenario.name,
    gateways: count,
    answered,
    failed: sum((report) => report.failed),
    perSecond: sum((report) => report.perSecond),
    p50Us: quantile(
      reports.map(({ p50Us }) => p50Us),
      1,
    ),
    p99Us: quantile(
      reports.map(({ p99Us }) => p99Us),
      1,
    ),
    gatewayCpuUs: perCall(({ gatewayCpuUs }) => gatewayCpuUs),
    redisCpuUs: perCall(({ redisCpuUs }) => redisCpuUs),
    turns: perCall(({ turns }) => turns),
    redisBytesIn: perCall(({ bytesIn }) => bytesIn),
    redisBytesOut: perCall(({ bytesOut }) => bytesOut),
  };
}

/** A share of the scenario's load on one gateway. */
function load(stage: Stage, index: number, { phase, pool }: Scenario, seconds: number, share: number) {
  const { apiUrl } = stage.gateways[index] ?? { apiUrl: '' };
  const own: Phase =
    phase.kind === 'open'
      ? { kind: 'open', perSecond: phase.perSecond * share }
      : { kind: 'closed', connections: Math.max(1, Math.round(phase.connections * share)) };
  const url = `${apiUrl}/v1/chat/completions`;
  const order: LoadOrder = { phase: own, url, model: pool, stream: false, seconds };
  const generator = stage.loads[index];
  if (generator === undefined) throw new Error(`there is no load generator ${index}`);
  return generator.ask<LoadReport>({ kind: 'run', order });
}

interface Reading {
  readonly gatewayCpuUs: number;
  readonly redisCpuUs: number;
  readonly turns: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

async function read({ gateways, redis }: Stage): Promise<Reading> {
  const samples = await Promise.all(gateways.map((gateway) => gateway.samples()));
  const info = await redis.info('cpu', 'stats', 'commandstats');
  const number = (pattern: string): number => Number(new RegExp(`^${pattern}([0-9.]+)`, 'm').exec(info)?.[1] ?? 0);
  return {
    gatewayCpuUs: 1e6 * samples.reduce((sum, each) => sum + valueOf(each, 'process_cpu_seconds_total'), 0),
    redisCpuUs: 1e6 * (number('used_cpu_user:') + number('used_cpu_sys:')),
    turns: number('cmdstat_fcall:calls=') + number('cmdstat_evalsha:calls='),
    bytesIn: number('total_net_input_bytes:'),
    bytesOut: number('total_net_output_bytes:'),
  };
}
