import { createColors } from 'picocolors';
import type { ObjectiveReport, PoolReport, StatusReport } from '../../core/status.ts';
import { formatBytes, formatDuration } from '../../core/units.ts';
import { type Colors, PHASE_COLORS, paint, table } from './table.ts';

/** What is going on, for people: a table of pools and one of objectives, then reasons. Ends with a newline. */
export function renderStatus(report: StatusReport, useColors: boolean): string {
  const colors = createColors(useColors);
  const parts = [headline(report, colors)];
  if (report.pools.length === 0) parts.push('no pools; add objects with -f and see docs/objects.md');
  else parts.push(poolTable(report.pools, colors), objectiveTable(report.pools, colors), reasons(report.pools, report));
  if (report.problems.length > 0)
    parts.push(colors.yellow(report.problems.map((problem) => `! ${problem}`).join('\n')));
  return `${parts.filter((part) => part !== '').join('\n')}\n`;
}

function headline(report: StatusReport, colors: Colors): string {
  const state = report.ready ? colors.green('ready') : colors.yellow('not ready');
  const redis = `${report.redis.reachable ? 'Redis' : colors.red('Redis not reachable')}: ${report.redis.source}`;
  const up = formatDuration(report.nowEpochMs - report.startedAtEpochMs);
  return `Pilotlight ${report.version} "${report.installation}": ${state}, up ${up}. ${redis}`;
}

function poolTable(pools: readonly PoolReport[], colors: Colors): string {
  const rows = pools.map((pool) => [
    pool.pool,
    paint(colors, PHASE_COLORS[pool.phase], pool.phase),
    `${pool.replicas.length} → ${pool.desiredReplicas}`,
    replicasByPhase(pool),
    `${pool.slots.used}/${pool.slots.open}`,
    bootTime(pool),
    gpuTime(pool),
    pool.models.join(', '),
  ]);
  return table(['Pool', 'Phase', 'Replicas', 'Warm-up', 'Slots', 'Boot', 'GPU time (always on)', 'Models'], rows);
}

function replicasByPhase({ replicasByPhase: counts }: PoolReport): string {
  return Object.entries(counts)
    .map(([phase, count]) => `${count} ${phase}`)
    .join(', ');
}

/** Of a pool that boots the time that is left, of any other the time that a boot would take. */
function bootTime({ phase, nextReadyMs }: PoolReport): string {
  if (nextReadyMs === null) return '';
  return `${phase === 'Waking' ? 'ready in' : 'takes'} ${formatDuration(nextReadyMs.p50)}`;
}

function gpuTime({ usage }: PoolReport): string {
  const usedS = usage.loadingGpuSeconds + usage.idleGpuSeconds + usage.busyGpuSeconds;
  const time = (seconds: number) => (seconds < 1 ? '0s' : formatDuration(seconds * 1_000));
  const money =
    usage.alwaysOnCostUsd > 0 ? `, $${usage.costUsd.toFixed(2)} ($${usage.alwaysOnCostUsd.toFixed(2)})` : '';
  return `${time(usedS)} (${time(usage.alwaysOnGpuSeconds)})${money}`;
}

function objectiveTable(pools: readonly PoolReport[], colors: Colors): string {
  const rows = pools.flatMap((pool) => pool.objectives.map((objective) => objectiveRow(pool.pool, objective, colors)));
  if (rows.length === 0) return '';
  const head = ['Pool', 'Objective', 'Priority', 'Held', 'Stored', 'Running', 'Bytes', 'Oldest waits', 'Ended'];
  return table(head, rows);
}

function objectiveRow(pool: string, objective: ObjectiveReport, colors: Colors): string[] {
  return [
    pool,
    objective.objective,
    String(objective.priority),
    String(objective.waitingHeld),
    String(objective.stored),
    String(objective.running),
    formatBytes(objective.bytes),
    objective.oldestWaitMs === null ? '' : formatDuration(objective.oldestWaitMs),
    ended(objective, colors),
  ];
}

function ended({ outcomes }: ObjectiveReport, colors: Colors): string {
  return Object.entries(outcomes)
    .filter(([, count]) => count > 0)
    .map(([kind, count]) => (kind === 'completed' ? `${count} ${kind}` : colors.yellow(`${count} ${kind}`)))
    .join(', ');
}

/** Why each pool is as it is: its last decision, what blocks it, what its replicas report. */
function reasons(pools: readonly PoolReport[], { nowEpochMs }: StatusReport): string {
  return pools
    .flatMap((pool) => [
      ...(pool.lastDecision === null
        ? []
        : [
            `${pool.pool}: ${pool.lastDecision.sentence} (${pool.lastDecision.rule}, ` +
              `${formatDuration(nowEpochMs - pool.lastDecision.atEpochMs)} ago)`,
          ]),
      ...(pool.blockedWhy === null ? [] : [`${pool.pool}: no capacity: ${pool.blockedWhy}`]),
      ...pool.replicas.flatMap(({ uid, message }) => (message === null ? [] : [`${pool.pool}: ${uid}: ${message}`])),
    ])
    .join('\n');
}
