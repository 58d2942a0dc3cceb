import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { attemptsOf } from './attempts.ts';
import type { Evidence, Violation } from './checker.ts';
import type { Happened } from './faults.ts';
import type { ChaosOptions } from './run.ts';
import { ALL_FAULTS, type PlannedFault } from './schedule.ts';
import type { World } from './world.ts';

const SHOWN = 20;

export interface Reported {
  readonly what: string;
  readonly found: readonly Violation[];
  readonly planned: readonly PlannedFault[];
  readonly happened: readonly Happened[];
  /** Null when the run broke before there was any. */
  readonly evidence: Evidence | null;
  readonly world: World;
  readonly options: ChaosOptions;
}

/** How to run it again. */
export function commandOf({ seed, durationMs, kinds }: Pick<ChaosOptions, 'seed' | 'durationMs' | 'kinds'>): string {
  const only = kinds.length === ALL_FAULTS.length ? '' : ` --only "${kinds.join(',')}"`;
  return `npm run chaos -- --seed ${seed} --minutes ${Number((durationMs / 60_000).toFixed(3))}${only}`;
}

/** What was broken, by which requests, with their history and all that happened, and how to run it again. */
export async function report(reported: Reported): Promise<string> {
  const { what, found, happened, planned, evidence, world, options } = reported;
  const startEpochMs = Math.min(...happened.map(({ fromEpochMs }) => fromEpochMs));
  const at = (epochMs: number) => `${((epochMs - startEpochMs) / 1_000).toFixed(2)}s`;
  const redisOf = JSON.stringify({ failovers: world.redis.failovers, primary: world.redis.primary.port });
  const lines = [
    what,
    ...(found.length > 0 ? [`${found.length} findings:`] : []),
    ...found
      .slice(0, SHOWN)
      .flatMap((violation) => [
        `- ${violation.rule}: ${violation.id}: ${violation.told}`,
        ...historyOf(violation, evidence, at),
      ]),
    `What happened (${happened.length} of ${planned.length} planned; times since the first; Redis ${redisOf}):`,
    ...happened.map(
      ({ kind, whom, fromEpochMs, toEpochMs }) => `  ${at(fromEpochMs)}–${at(toEpochMs)} ${kind}: ${whom}`,
    ),
    `Logs, journal and evidence: ${options.folder}`,
    `Again: ${commandOf(options)}`,
  ];
  await writeFile(
    join(options.folder, 'evidence.json'),
    JSON.stringify({ found, planned, happened, evidence }, null, 1),
  );
  await writeFile(join(options.folder, 'report.txt'), `${lines.join('\n')}\n`);
  return lines.join('\n');
}

/** Of the request that it is about: its client's side, and each attempt of a model server. */
function historyOf({ seed }: Violation, evidence: Evidence | null, at: (epochMs: number) => string): readonly string[] {
  if (seed === null || evidence === null) return [];
  const call = evidence.calls.find((each) => each.seed === seed);
  const end = evidence.jobs.find(({ job }) => job.seed === seed);
  const attempts = attemptsOf(evidence.journal).get(seed) ?? [];
  return [
    ...(call
      ? [
          `    ${call.kind} to ${call.gateway} ${at(call.startedAtEpochMs)}–${at(call.endedAtEpochMs)}, first text ${call.firstAtEpochMs === null ? 'never' : at(call.firstAtEpochMs)}: status ${call.status}, ${call.received} characters, ${call.code ?? 'no code'}, ${call.problem ?? 'right'}`,
        ]
      : []),
    ...(end ? [`    job accepted by ${end.job.gateway} ${at(end.job.acceptedAtEpochMs)}`] : []),
    ...attempts.map(
      ({ pid, call: id, beganAtEpochMs, firstAtEpochMs, endedAtEpochMs, why }) =>
        `    model server ${pid} (${id}) ${at(beganAtEpochMs)}–${at(endedAtEpochMs)}, first token ${firstAtEpochMs === null ? 'never' : at(firstAtEpochMs)}: ${why ?? 'no end'}`,
    ),
  ];
}
