import type { GpuUsage } from '../../core/status.ts';
import { formatDuration } from '../../core/units.ts';
import { percentile } from './percentile.ts';
import { usedGpuSeconds } from './server-lives.ts';

export interface ObjectiveSummary {
  readonly name: string;
  readonly priority: number;
  readonly accepted: number;
  readonly completed: number;
  readonly failed: number;
  /** Answers 429 or 503 to a request that was not taken in. */
  readonly shed: number;
  readonly waitsMs: readonly number[];
  readonly ttftsMs: readonly number[];
}

export interface DemoSummary {
  readonly elapsedMs: number;
  readonly objectives: readonly ObjectiveSummary[];
  /** Chats that found no ready replica, and all others. */
  readonly wokenTtftsMs: readonly number[];
  readonly warmTtftsMs: readonly number[];
  /** Null when no replica was ever ready. */
  readonly wake: { readonly totalMs: number; readonly bootMs: number } | null;
  readonly podChart: readonly string[];
  readonly usage: GpuUsage;
  readonly maxReplicas: number;
  readonly serverDeaths: number;
  readonly cutChats: number;
  /** Rows that needed more than one try. */
  readonly retriedRows: number;
  /** Sentences of the check; empty = every promise was kept. */
  readonly broken: readonly string[];
  readonly checkedTexts: number;
  readonly files: readonly (readonly [what: string, path: string])[];
  readonly nextCommands: readonly (readonly [command: string, why: string])[];
}

/** The end of the demo as text of at most 100 columns, paths aside. */
export function renderSummary(summary: DemoSummary): string {
  const blocks = [
    [headline(summary)],
    table(summary.objectives),
    ['  replicas over time (█ ready, ░ loading, ▒ draining)', ...summary.podChart],
    facts(summary),
    verdict(summary),
    ['Try next:', ...aligned(summary.nextCommands)],
  ];
  return `\n${blocks.map((lines) => lines.join('\n')).join('\n\n')}\n`;
}

function headline({ objectives, elapsedMs }: DemoSummary): string {
  const requests = objectives.reduce((sum, { accepted }) => sum + accepted, 0);
  return (
    `${grouped(requests)} requests through one pool, from zero replicas to zero, in ${formatDuration(elapsedMs)}.\n` +
    'The model servers were simulators (docs/model-sim.md); what ran in front of them was the real thing.'
  );
}

const HOURS_A_DAY = 24;
const COLUMNS = [13, 9, 10, 11, 8, 7, 10, 9, 11, 9] as const;
const HEADS = [
  'objective',
  'priority',
  'accepted',
  'completed',
  'failed',
  'shed',
  'wait p50',
  'p95',
  'TTFT p50',
  'p95',
];

function table(objectives: readonly ObjectiveSummary[]): string[] {
  const rows = objectives.map((objective) => [
    objective.name,
    `${objective.priority}`,
    ...[objective.accepted, objective.completed, objective.failed, objective.shed].map(grouped),
    ...spread(objective.waitsMs),
    ...spread(objective.ttftsMs),
  ]);
  return [HEADS, ...rows].map((row) => `  ${row.map(cell).join('')}`);
}

function cell(text: string, column: number): string {
  const width = COLUMNS[column] ?? 0;
  return column === 0 ? text.padEnd(width) : text.padStart(width);
}

function spread(valuesMs: readonly number[]): string[] {
  return [percentile(valuesMs, 0.5), percentile(valuesMs, 0.95)].map(shortDuration);
}

function facts(summary: DemoSummary): string[] {
  const { wake, usage, wokenTtftsMs, warmTtftsMs, serverDeaths, cutChats, retriedRows, files } = summary;
  const used = usedGpuSeconds(usage);
  const chats = `asleep: ${ttfts(wokenTtftsMs)};  awake: ${ttfts(warmTtftsMs)}`;
  const deaths =
    serverDeaths === 0
      ? []
      : [['killed', `the serving process died ${times(serverDeaths)} and was started again, ${chatsOf(cutChats)} cut`]];
  const rows = [
    ...(wake === null
      ? []
      : [
          [
            'wake',
            `${shortDuration(wake.totalMs)} from the first request to a ready replica; its boot took ${shortDuration(wake.bootMs)}`,
          ],
        ]),
    ['TTFT', chats],
    ['GPU time', gpuTime(summary, used)],
    ['', perDay(summary, used)],
    ...(usage.alwaysOnCostUsd === 0
      ? []
      : [['money', `$${usage.costUsd.toFixed(3)} instead of $${usage.alwaysOnCostUsd.toFixed(3)}`]]),
    ...deaths,
    ...(retriedRows === 0 ? [] : [['retried', `${grouped(retriedRows)} rows needed more than one try`]]),
    ...files,
  ] as const;
  return rows.map(([what = '', text = '']) => `  ${what.padEnd(10)}${text}`);
}

function gpuTime({ usage, maxReplicas }: DemoSummary, used: number): string {
  const saved = usage.alwaysOnGpuSeconds === 0 ? 0 : 100 * (1 - used / usage.alwaysOnGpuSeconds);
  const { loadingGpuSeconds, busyGpuSeconds, idleGpuSeconds } = usage;
  const parts = `${whole(busyGpuSeconds)} busy, ${whole(loadingGpuSeconds)} loading, ${whole(idleGpuSeconds)} idle`;
  return (
    `${whole(used)} GPU-seconds (${parts}) against ${whole(usage.alwaysOnGpuSeconds)} ` +
    `with ${maxReplicas} always on: ${whole(saved)} % saved`
  );
}

/** The run itself is short and busy; what it saves shows in the hours after it. */
function perDay({ maxReplicas }: DemoSummary, used: number): string {
  const usedHours = (used / 3_600).toFixed(2);
  return `with one such run a day ${usedHours} GPU-hours against ${maxReplicas * HOURS_A_DAY}`;
}

function ttfts(valuesMs: readonly number[]): string {
  const [p50 = '', p95 = ''] = spread(valuesMs);
  return valuesMs.length === 0 ? 'no chat' : `p50 ${p50}, p95 ${p95} (${chatsOf(valuesMs.length)})`;
}

function chatsOf(count: number): string {
  return count === 1 ? '1 chat' : `${grouped(count)} chats`;
}

function verdict({ broken, objectives, checkedTexts }: DemoSummary): string[] {
  if (broken.length > 0) return ['Not as promised:', ...broken.map((sentence) => `  - ${sentence}`)];
  const accepted = objectives.reduce((sum, objective) => sum + objective.accepted, 0);
  return [
    `Checked: ${grouped(accepted)} accepted requests have one outcome each, and ` +
      `${grouped(checkedTexts)} texts are right to the byte.`,
  ];
}

function aligned(pairs: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(0, ...pairs.map(([left]) => left.length)) + 3;
  return pairs.map(([left, right]) => `  ${left.padEnd(width)}${right}`);
}

/** "8 ms", "940 ms", "4.2 s", "31 s", "2m 5s"; a dash for nothing. */
function shortDuration(durationMs: number | null): string {
  if (durationMs === null) return '–';
  if (durationMs < 1_000) return `${Math.round(durationMs)} ms`;
  if (durationMs < 10_000) return `${(durationMs / 1_000).toFixed(1)} s`;
  return durationMs < 100_000 ? `${Math.round(durationMs / 1_000)} s` : formatDuration(durationMs);
}

function whole(number: number): string {
  return grouped(Math.round(number));
}

function grouped(number: number): string {
  return number.toLocaleString('en-US');
}

function times(count: number): string {
  return count === 1 ? 'once' : `${count} times`;
}
