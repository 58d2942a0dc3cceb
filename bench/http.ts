/**
 * Pilotlight's warm path over HTTP: what it adds to a call, and how many it carries.
 *
 *   npm run bench -- http [--rounds 5] [--seconds 4] [--tries 3] [--only open-200,closed-32]
 *                         [--save NAME] [--redis URL] [--against FOLDER] [--profile FOLDER]
 *
 * Separate processes on loopback: a Redis with AOF as `serve` uses, `pilotlight serve` with two pools of one local
 * model server each, those model servers (zero work), a plain express + undici reverse proxy, and the load generator.
 * Each round measures every scenario against every target, one after the other, in an order that alternates from round
 * to round; differences and ratios are taken inside a round, and told as the median over the rounds with their range.
 *
 * - open-200, open-1000: requests leave on a schedule whatever came of the others, latency counts from the moment a
 *   request was due (no coordinated omission). "Added" is against the model server called directly.
 * - closed-32: 32 connections ask again as soon as they have their answer; 128 slots, so nobody waits for one.
 * - queued-256: 256 connections on 8 slots, so that every request has to queue; the proxy has no slots and never queues.
 * - streams-64: 64 connections that read streams of 50 events one after the other.
 *
 * Each cell waits for a quiet machine and is repeated (up to --tries times, the best is kept) when others took more than
 * a tenth of it meanwhile; the column "others" tells how much they still took. --against measures another checkout in the same run (target "other"): the way to see what a change is worth on a
 * machine that does other things too. --profile writes a CPU profile of `pilotlight serve` when it ends.
 */
import { parseArgs } from 'node:util';
import { HttpRig, type PoolName } from './support/http-rig.ts';
import { type Cell, summarise, type TargetName } from './support/http-summary.ts';
import { table } from './support/http-table.ts';
import type { LoadOrder, Phase } from './support/load.ts';
import { QUIET_RATIO, whenQuiet } from './support/quiet.ts';
import { circumstances, saveResult } from './support/results.ts';

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    tries: { type: 'string', default: '3' },
    only: { type: 'string' },
    save: { type: 'string' },
    redis: { type: 'string' },
    against: { type: 'string' },
    profile: { type: 'string' },
  },
});
const rounds = Number(flags.rounds);
const seconds = Number(flags.seconds);
const tries = Number(flags.tries);

interface Scenario {
  readonly name: string;
  readonly phase: Phase;
  readonly stream: boolean;
  readonly pool: PoolName;
}

const SCENARIOS: readonly Scenario[] = [
  { name: 'open-200', phase: { kind: 'open', perSecond: 200 }, stream: false, pool: 'roomy' },
  { name: 'open-1000', phase: { kind: 'open', perSecond: 1_000 }, stream: false, pool: 'roomy' },
  { name: 'closed-32', phase: { kind: 'closed', connections: 32 }, stream: false, pool: 'roomy' },
  { name: 'queued-256', phase: { kind: 'closed', connections: 256 }, stream: false, pool: 'tight' },
  { name: 'streams-64', phase: { kind: 'closed', connections: 64 }, stream: true, pool: 'roomy' },
];

/** Calls before anything is measured: compilers warm up, slow start ends. */
const WARM_UP_CALLS = 20_000;
const WARM_UP_SECONDS = 2;
const WARM_UP_WITHIN_MS = 10_000;
/** Longest wait for a moment in which nobody else works, before each cell. */
const QUIET_PATIENCE_MS = 10_000;

function targets(): readonly TargetName[] {
  const all: readonly TargetName[] = ['direct', 'proxy', 'pilotlight'];
  return flags.against === undefined ? all : [...all, 'other'];
}

function orderOf({ phase, stream, pool: model }: Scenario): Omit<LoadOrder, 'url'> {
  return { phase, stream, model, seconds };
}

async function warmUp(rig: HttpRig, scenarios: readonly Scenario[]): Promise<void> {
  for (const scenario of scenarios) {
    const phase = scenario.phase.kind === 'open' ? ({ kind: 'closed', connections: 32 } as const) : scenario.phase;
    for (const target of targets()) {
      const endMs = performance.now() + WARM_UP_WITHIN_MS;
      for (let answered = 0; answered < WARM_UP_CALLS && performance.now() < endMs; ) {
        answered += (await rig.run(target, { ...orderOf(scenario), phase, seconds: WARM_UP_SECONDS })).answered;
      }
    }
  }
}

async function measure(rig: HttpRig, scenarios: readonly Scenario[]): Promise<Cell[][]> {
  const cells: Cell[][] = [];
  for (let round = 0; round < rounds; round += 1) {
    process.stderr.write(`round ${round + 1} of ${rounds}\n`);
    const cellsOfRound: Cell[] = [];
    for (const scenario of scenarios) {
      const inOrder = round % 2 === 0 ? targets() : targets().toReversed();
      for (const target of inOrder) {
        cellsOfRound.push(await quietCell(rig, scenario, target));
      }
    }
    cells.push(cellsOfRound);
  }
  return cells;
}

/** One cell; on a machine that others use, the least disturbed of some tries. */
async function quietCell(rig: HttpRig, scenario: Scenario, target: TargetName): Promise<Cell> {
  let best: Cell | null = null;
  for (let attempt = 0; attempt < tries; attempt += 1) {
    await whenQuiet(QUIET_PATIENCE_MS);
    const cell = { scenario: scenario.name, ...(await rig.measure(target, scenario.pool, orderOf(scenario))) };
    if (best === null || cell.foreignRatio < best.foreignRatio) best = cell;
    if (best.foreignRatio < QUIET_RATIO) break;
  }
  if (best === null) throw new Error('--tries must be at least 1');
  return best;
}

function reportFailures(cells: readonly Cell[]): void {
  const failures = cells.filter(({ report }) => report.failed > 0);
  for (const { scenario, target, report } of failures) {
    process.stderr.write(`${scenario} ${target}: ${report.failed} failed, the first: ${report.firstFailure ?? '?'}\n`);
  }
  if (failures.length > 0) process.exitCode = 1;
}

async function main(): Promise<void> {
  const names = flags.only?.split(',');
  const scenarios = SCENARIOS.filter(({ name }) => names?.includes(name) ?? true);
  if (scenarios.length === 0) throw new Error(`--only knows ${SCENARIOS.map(({ name }) => name).join(', ')}`);
  const rig = await HttpRig.open({ redisUrl: flags.redis, profileFolder: flags.profile, against: flags.against });
  try {
    const about = circumstances(await rig.redisVersion());
    await warmUp(rig, scenarios);
    const cells = await measure(rig, scenarios);
    const summary = summarise(cells);
    const ping = await rig.pingUs();
    process.stdout.write(`${table(summary)}\nA PING of Redis every 5 ms: p50 ${ping.p50Us} µs, p99 ${ping.p99Us} µs\n`);
    reportFailures(cells.flat());
    const command = `npm run bench -- http --rounds ${rounds} --seconds ${seconds}`;
    const result = { bench: 'http', command, ...about, summary, ping, rounds: cells };
    if (flags.save !== undefined) process.stdout.write(`Saved ${saveResult(flags.save, result)}\n`);
  } finally {
    await rig.close();
  }
}

await main();
