import { createColors } from 'picocolors';
import { formatBytes, formatDuration } from '../../core/units.ts';
import type { PoolView } from '../pools/pool-view.ts';
import { type Colors, PHASE_COLORS, paint, table } from './table.ts';

export interface RenderOptions {
  readonly nowEpochMs: number;
  readonly useColors: boolean;
  readonly where: string;
}

/** The columns that `kubectl get scalepolicies` shows. Ends with a newline. */
export function renderPools(pools: readonly PoolView[], { nowEpochMs, useColors, where }: RenderOptions): string {
  if (pools.length === 0) return noPools(where);
  const colors = createColors(useColors);
  const rows = pools.map((pool) => [
    pool.pool,
    String(pool.ready),
    String(pool.booting),
    String(pool.desired),
    String(pool.queued),
    age(pool.oldestQueuedAtEpochMs, nowEpochMs),
    phase(pool, colors),
  ]);
  return `${text(['POOL', 'READY', 'BOOTING', 'DESIRED', 'QUEUED', 'OLDEST', 'PHASE'], rows)}\n`;
}

/** Pools and, of each, what does not go well and why it is at that number. */
export function renderClusterStatus(pools: readonly PoolView[], options: RenderOptions): string {
  const colors = createColors(options.useColors);
  const reasons = pools.flatMap((pool) => [
    ...(pool.phase === null
      ? [`${pool.pool}: no controller has looked at it; is Pilotlight installed and leading?`]
      : []),
    ...(pool.decision === null ? [] : [`${pool.pool}: ${decisionText(pool.decision, options.nowEpochMs)}`]),
    ...pool.orders.map((order) => `${pool.pool}: ${order}`),
    ...pool.conditions
      .filter(({ status, type }) => status === 'False' && type !== 'Ready')
      .map(({ type, reason, message }) => colors.yellow(`! ${pool.pool}: ${type}: ${reason}: ${message}`)),
  ]);
  if (pools.length === 0) return noPools(options.where);
  const parts = [`ScalePolicies in ${options.where}`, '', renderPools(pools, options).trimEnd()];
  return `${[...parts, ...(reasons.length === 0 ? [] : ['', ...reasons])].join('\n')}\n`;
}

/** What waits, for each objective as far as that is told. Ends with a newline. */
export function renderQueue(pools: readonly PoolView[], { nowEpochMs, where }: RenderOptions): string {
  if (pools.length === 0) return noPools(where);
  const known = pools.some(({ objectives }) => objectives !== null);
  if (!known) {
    const rows = pools.map((pool) => [
      pool.pool,
      String(pool.queued),
      String(pool.running),
      age(pool.oldestQueuedAtEpochMs, nowEpochMs),
    ]);
    const note =
      'A ScalePolicy tells totals only, up to 10 s old; QUEUED has stored jobs in it. Per objective: pilotlight queue ' +
      '--admin-url URL';
    return `${text(['POOL', 'QUEUED', 'RUNNING', 'OLDEST'], rows)}\n\n${note}\n`;
  }
  const rows = pools.flatMap((pool) =>
    (pool.objectives ?? []).map((objective) => [
      pool.pool,
      objective.objective,
      String(objective.priority),
      String(objective.waitingHeld),
      String(objective.waitingStored),
      String(objective.stored),
      String(objective.running),
      formatBytes(objective.bytes),
      objective.oldestWaitMs === null ? '' : formatDuration(objective.oldestWaitMs),
    ]),
  );
  const head = ['POOL', 'OBJECTIVE', 'PRIORITY', 'HELD', 'IN ORDER', 'STORED', 'RUNNING', 'BYTES', 'OLDEST'];
  return rows.length === 0 ? 'nothing waits or runs, and no objective is configured\n' : `${text(head, rows)}\n`;
}

export function decisionText(
  { sentence, rule, atEpochMs }: { readonly sentence: string; readonly rule: string; readonly atEpochMs: number },
  nowEpochMs: number,
): string {
  return `${sentence} (${rule}, ${formatDuration(Math.max(0, nowEpochMs - atEpochMs))} ago)`;
}

export function phase({ phase: now }: PoolView, colors: Colors): string {
  return now === null ? colors.dim('unknown') : paint(colors, PHASE_COLORS[now], now);
}

function age(sinceEpochMs: number | null, nowEpochMs: number): string {
  return sinceEpochMs === null ? '' : formatDuration(Math.max(0, nowEpochMs - sinceEpochMs));
}

function noPools(where: string): string {
  return `no pools in ${where}; make one: pilotlight init --from deployment/NAME\n`;
}

/** Without the empty line that stands before a table within a text. */
function text(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return table(head, rows).trimStart();
}
