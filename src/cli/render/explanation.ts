import { createColors } from 'picocolors';
import { formatDuration } from '../../core/units.ts';
import type { PoolDetails } from '../pools/pool-view.ts';
import { decisionText, phase } from './pool-tables.ts';
import { type Colors, table } from './table.ts';

/** Why a pool is as it is, for people. Ends with a newline. */
export function renderExplanation(pool: PoolDetails, nowEpochMs: number, useColors: boolean): string {
  const colors = createColors(useColors);
  const sections = [
    headline(pool, colors),
    section('Why', colors, why(pool, nowEpochMs)),
    section('What would change it', colors, pool.decision?.wouldChange ?? []),
    section('What each rule asks for', colors, componentLines(pool)),
    section('Orders of people', colors, pool.orders),
    section('Not well', colors, notWell(pool, colors)),
    section('Replicas', colors, replicaLines(pool, nowEpochMs)),
    section('Targets', colors, targetLines(pool)),
    section(
      'Before',
      colors,
      pool.earlier.map((decision) => decisionText(decision, nowEpochMs)),
    ),
  ];
  return `${sections.filter((text) => text !== '').join('\n\n')}\n`;
}

function headline(pool: PoolDetails, colors: Colors): string {
  const { ready, booting, desired, queued, running } = pool;
  const work = queued + running === 0 ? 'nothing queued or running' : `${queued} queued, ${running} running`;
  const policy = pool.policy === null ? '' : ` (ScalePolicy ${pool.policy})`;
  return `${colors.bold(pool.pool)}${policy} is ${phase(pool, colors)}: ${ready} ready, ${booting} booting, ${desired} wanted; ${work}`;
}

function why({ decision, blockedWhy, nextReadyAtEpochMs, phase: now }: PoolDetails, nowEpochMs: number): string[] {
  if (decision === null && now === null)
    return ['no controller has looked at this policy: check that one runs, leads, and follows its namespace'];
  return [
    ...(decision === null ? ['no decision was taken yet'] : [decisionText(decision, nowEpochMs)]),
    ...(blockedWhy === null ? [] : [`no capacity: ${blockedWhy}`]),
    ...(nextReadyAtEpochMs === null ? [] : [nextReadyText(nextReadyAtEpochMs - nowEpochMs)]),
  ];
}

function nextReadyText(inMs: number): string {
  return inMs > 0
    ? `the next replica is expected in ${formatDuration(inMs)}`
    : `the next replica was expected ${formatDuration(-inMs)} ago`;
}

const COUNTS = ['live', 'rate', 'backlog', 'deadline', 'min', 'manual', 'max', 'wanted', 'wantedToFall'];

/** Counts as "name number", durations as durations, whatever else there is as it is. */
function componentLines({ components }: PoolDetails): string[] {
  if (components === null) return [];
  const shown = (name: string, value: unknown): string =>
    name.endsWith('Ms') && typeof value === 'number'
      ? `${name.slice(0, -2)} ${formatDuration(value)}`
      : `${name} ${JSON.stringify(value)}`;
  const counts = COUNTS.filter((name) => name in components).map((name) => shown(name, components[name]));
  const rest = Object.entries(components)
    .filter(([name, value]) => !COUNTS.includes(name) && value !== null)
    .map(([name, value]) => shown(name, value));
  return [counts.join(', '), rest.join(', ')].filter((line) => line !== '');
}

function notWell({ conditions }: PoolDetails, colors: Colors): string[] {
  return conditions
    .filter(({ status, reason }) => status === 'False' || (status === 'Unknown' && reason !== 'NotManaged'))
    .map(({ type, status, reason, message }) => {
      const line = `${type}: ${reason}: ${message}`;
      return status === 'False' ? colors.yellow(line) : line;
    });
}

function replicaLines({ replicas, replicasUnknownWhy }: PoolDetails, nowEpochMs: number): string[] {
  if (replicas === null) return [`not known: ${replicasUnknownWhy}`];
  if (replicas.length === 0) return ['none'];
  const rows = replicas.map(({ name, phase: now, phaseSinceEpochMs, node, restarts }) => [
    name,
    now,
    `for ${formatDuration(Math.max(0, nowEpochMs - phaseSinceEpochMs))}`,
    node ?? '',
    restarts === 0 ? '' : `${restarts} ${restarts === 1 ? 'restart' : 'restarts'}`,
  ]);
  const lines = table([], rows)
    .split('\n')
    .filter((line) => line.trim() !== '');
  return lines.flatMap((line, index) => {
    const trouble = replicas[index]?.trouble;
    return trouble ? [line, `  ${trouble}`] : [line];
  });
}

function targetLines({ targets }: PoolDetails): string[] {
  return targets.map(({ name, specReplicas, readyReplicas, bootingReplicas, message }) => {
    const asked = specReplicas === undefined ? '' : `asks for ${specReplicas}, `;
    return `${name}: ${asked}${readyReplicas} ready, ${bootingReplicas} booting${message === undefined ? '' : `; ${message}`}`;
  });
}

function section(title: string, colors: Colors, lines: readonly string[]): string {
  return lines.length === 0 ? '' : [colors.bold(title), ...lines.map((line) => `  ${line}`)].join('\n');
}
