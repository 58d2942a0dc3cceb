/**
 * Pilotlight on a real control plane, in three parts:
 *
 *   npm run bench -- kubernetes wake [--wakes 200] [--pools 24]
 *   npm run bench -- kubernetes upkeep [--pools 100] [--pods 10] [--seconds 60]
 *   npm run bench -- kubernetes replicas [--gateways 3] [--rounds 5] [--seconds 5]
 *   … [--save NAME] [--redis URL] [--profile FOLDER]
 *
 * wake: from the sending of the first request to a pool at zero until the API server has stored the patched scale, by the
 * server's own audit log. Gateway and controller as two processes ("split") and as one of role `all`, beside "bare": the
 * least that anybody needs, GET and PATCH of a scale by a bare client. One of each in turn, in alternating order, each
 * after a moment in which the machine was calm (or 0.6 s of waiting for one); pods never get a node, so nothing boots.
 *
 * - hinted: the ledger has told that there is work
 * - decided: from there to the arrival of the patch at the API server: look, decision, one request
 * - patched: from there to its being stored
 *
 * upkeep: CPU time, memory, requests and Redis commands of a controller, and of a gateway beside it, while all pods of all
 * pools are ready (KWOK plays them, one process answers for all model servers): at rest, and while a tenth of the
 * pods is deleted and made anew within a minute. Beside them a bare watcher: it lists and watches the same pods and
 * policies and does nothing with them.
 *
 * replicas: one, two and three gateways on one Redis, the same load on all of them together (KWOK plays the pods, one process
 * answers for all model servers): throughput and latency as ratios to those of one gateway in the same round, CPU time of
 * gateways and Redis, turns of the ledger and bytes to and from Redis for each call.
 */
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import { KubernetesRig } from './support/kubernetes-rig.ts';
import { measureReplicas, type ReplicasCell } from './support/kubernetes-replicas.ts';
import { measureUpkeep, type Upkeep } from './support/kubernetes-upkeep.ts';
import { measureWakes, type Wake, WAKE_TARGETS, type WakeTarget } from './support/kubernetes-wake.ts';
import { circumstances, redisVersion, saveResult } from './support/results.ts';
import { quantile, showSpread, spreadOf } from './support/statistics.ts';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    wakes: { type: 'string', default: '200' },
    pools: { type: 'string' },
    pods: { type: 'string', default: '10' },
    seconds: { type: 'string' },
    gateways: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '5' },
    save: { type: 'string' },
    redis: { type: 'string' },
    profile: { type: 'string' },
  },
});
const part = positionals[0] ?? 'wake';
const nodeFlags = flags.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${flags.profile}`];
const PROGRESS_EVERY = 20;
const ROUNDS = 10;
const CHURN_PER_MINUTE = 0.1;

const STAGES: Readonly<Record<string, (wake: Wake) => number>> = {
  hinted: ({ hinted }) => hinted,
  decided: ({ received, hinted }) => received - hinted,
  patched: ({ stored, received }) => stored - received,
  whole: ({ stored }) => stored,
};

type Quantiles = Readonly<Record<'p50' | 'p90' | 'p99', number>>;

function quantilesOf(values: readonly number[]): Quantiles {
  const at = (ratio: number): number => Number(quantile(values, ratio).toFixed(1));
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99) };
}

/** By target and stage; milliseconds. */
function stagesOf(wakes: readonly Wake[]): Record<string, Quantiles> {
  const rows = WAKE_TARGETS.flatMap((target) => {
    const own = wakes.filter((wake) => wake.target === target);
    const stages = Object.entries(STAGES).filter(([, of]) => own.some((wake) => !Number.isNaN(of(wake))));
    return stages.map(([stage, of]) => [`${target} ${stage}`, quantilesOf(own.map(of))] as const);
  });
  return Object.fromEntries(rows);
}

/** The middle wake of each round as a multiple of the round's middle bare one. */
function ratiosOf(wakes: readonly Wake[], target: WakeTarget): readonly number[] {
  const round = (of: WakeTarget, index: number): number => {
    const own = wakes.filter((wake) => wake.target === of);
    const size = own.length / ROUNDS;
    return quantile(
      own.slice(Math.floor(index * size), Math.floor((index + 1) * size)).map(({ stored }) => stored),
      0.5,
    );
  };
  return Array.from({ length: Math.min(ROUNDS, wakes.length / WAKE_TARGETS.length) }, (_, index) => {
    return round(target, index) / round('bare', index);
  });
}

async function wake(rig: KubernetesRig): Promise<object> {
  const wakes = await measureWakes(rig, {
    wakes: Number(flags.wakes),
    pools: Number(flags.pools ?? '24'),
    nodeFlags,
    onProgress: (done) => done % PROGRESS_EVERY === 0 && process.stderr.write(`${done} wakes of each\n`),
  });
  const stages = stagesOf(wakes);
  const ratios = {
    split: spreadOf(ratiosOf(wakes, 'split'), 2),
    all: spreadOf(ratiosOf(wakes, 'all'), 2),
  };
  const conflicts = wakes.filter((each) => each.conflicts > 0).length;
  console.table(stages);
  for (const [target, spread] of Object.entries(ratios)) {
    process.stdout.write(`${target}: ${showSpread(spread)} times the bare request pair\n`);
  }
  process.stdout.write(`${conflicts} of ${wakes.length} wakes met a conflict\n`);
  return { unit: 'ms', stages, ratios, conflicts, wakes };
}

function requestsOf({ apiRequestsPerMinute }: Upkeep): string {
  const counts = Object.entries(apiRequestsPerMinute ?? {}).sort(([, a], [, b]) => b - a);
  return counts.map(([what, count]) => `${what} ${count}`).join(', ');
}

async function upkeep(rig: KubernetesRig): Promise<object> {
  const phases = await measureUpkeep(rig, {
    pools: Number(flags.pools ?? '100'),
    podsPerPool: Number(flags.pods),
    seconds: Number(flags.seconds ?? '60'),
    churnPerMinute: CHURN_PER_MINUTE,
    nodeFlags,
    onProgress: (sentence) => process.stderr.write(`${sentence}\n`),
  });
  for (const { phase, scriptCallsPerMinute, processes } of phases) {
    process.stdout.write(`\n${phase}: ${scriptCallsPerMinute} script calls a minute in Redis\n`);
    console.table(
      processes.map((each) => ({
        process: each.process,
        'CPU s/min': each.cpuSecondsPerMinute.toFixed(1),
        'RSS MiB': each.rssMiB.toFixed(0),
        'heap MiB': each.heapMiB?.toFixed(0) ?? '',
        'Redis commands/min': each.redisCommandsPerMinute ?? '',
      })),
    );
    for (const each of processes.filter(({ apiRequestsPerMinute }) => apiRequestsPerMinute !== null)) {
      process.stdout.write(`${each.process}, requests a minute to the API server: ${requestsOf(each)}\n`);
    }
  }
  return { phases };
}

/** Figures of each scenario and number of gateways over the rounds; `of one` = against one gateway in the same round. */
function replicaLines(cells: readonly ReplicasCell[]): Record<string, Record<string, string>> {
  const names = [...new Set(cells.map(({ scenario, gateways }) => `${scenario} x ${gateways}`))];
  const lines = names.map((name) => {
    const own = cells.filter(({ scenario, gateways }) => `${scenario} x ${gateways}` === name);
    const ones = cells.filter(({ scenario, gateways }) => scenario === own[0]?.scenario && gateways === 1);
    const figure = (of: (cell: ReplicasCell) => number, digits = 0): string =>
      showSpread(spreadOf(own.map(of), digits));
    const ofOne = (of: (cell: ReplicasCell) => number): string =>
      showSpread(
        spreadOf(
          own.map((cell, round) => of(cell) / of(ones[round] ?? cell)),
          2,
        ),
      );
    return [
      name,
      {
        'calls/s': figure(({ perSecond }) => perSecond),
        'of one': ofOne(({ perSecond }) => perSecond),
        'p50 us': figure(({ p50Us }) => p50Us),
        'p50 of one': ofOne(({ p50Us }) => p50Us),
        'p99 us': figure(({ p99Us }) => p99Us),
        'gateways us': figure(({ gatewayCpuUs }) => gatewayCpuUs),
        'Redis us': figure(({ redisCpuUs }) => redisCpuUs),
        turns: figure(({ turns }) => turns, 2),
        'bytes in': figure(({ redisBytesIn }) => redisBytesIn),
        'bytes out': figure(({ redisBytesOut }) => redisBytesOut),
        failed: String(own.reduce((sum, { failed }) => sum + failed, 0)),
      },
    ] as const;
  });
  return Object.fromEntries(lines);
}

async function replicas(rig: KubernetesRig): Promise<object> {
  const cells = await measureReplicas(rig, {
    gateways: Number(flags.gateways),
    rounds: Number(flags.rounds),
    seconds: Number(flags.seconds ?? '5'),
    nodeFlags,
    onProgress: (sentence) => process.stderr.write(`${sentence}\n`),
  });
  const lines = replicaLines(cells);
  console.table(lines);
  return { lines, cells };
}

const PARTS = { wake, upkeep, replicas };

async function main(): Promise<void> {
  const run = Object.hasOwn(PARTS, part) ? PARTS[part as keyof typeof PARTS] : null;
  if (run === null) throw new Error(`there is no part "${part}"; there are: ${Object.keys(PARTS).join(', ')}`);
  const rig = await KubernetesRig.open({ redisUrl: flags.redis, scheduler: part !== 'wake' });
  const redis = new Redis(rig.redis.url);
  try {
    const about = circumstances(await redisVersion(redis));
    const result = { bench: `kubernetes ${part}`, flags, ...about, ...(await run(rig)) };
    if (flags.save !== undefined) process.stdout.write(`Saved ${saveResult(flags.save, result)}\n`);
  } finally {
    redis.disconnect();
    await rig.close();
  }
}

await main();
