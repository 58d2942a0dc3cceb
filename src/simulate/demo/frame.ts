import { formatDuration } from '../../core/units.ts';
import type { Board } from './board.ts';
import { OBJECTIVES } from './names.ts';
import { totalUsage, usedGpuSeconds } from './server-lives.ts';

/** What a viewer sees at one moment. */
export interface Frame {
  readonly bars: readonly FrameBar[];
  readonly pods: string;
}

export interface FrameBar {
  readonly label: string;
  readonly value: number;
  readonly total: number;
  /** What is counted. */
  readonly unit: string;
  /** What the others are doing. */
  readonly note: string;
}

export interface Planned {
  readonly rows: number;
  readonly chats: number;
}

/** The state of the run as two bars and a line about the pool. */
export function frameOf(board: Board, planned: Planned, elapsedMs: number): Frame {
  return {
    bars: [interactiveBar(board, planned), nightlyBar(board, planned)],
    pods: podLine(board, elapsedMs),
  };
}

/** The same on one line. */
export function plainLine({ bars, pods }: Frame): string {
  const counts = bars.map(({ label, value, total, unit, note }) => `${label} ${value}/${total} ${unit} (${note})`);
  return [pods, ...counts].join(' | ');
}

function interactiveBar(board: Board, { chats }: Planned): FrameBar {
  const { name } = OBJECTIVES.interactive;
  const report = board.objective(name);
  const note = `${report?.waitingHeld ?? 0} wait, ${report?.running ?? 0} stream`;
  return { label: name, value: board.chats.length, total: chats, unit: 'chats', note };
}

function nightlyBar(board: Board, { rows }: Planned): FrameBar {
  const { name } = OBJECTIVES.nightly;
  return { label: name, value: board.endedRows, total: rows, unit: 'rows', note: batchNote(board) };
}

function batchNote(board: Board): string {
  const { batch, endedRows, pool } = board;
  if (batch === null) return 'no batch yet';
  if (batch.status !== 'in_progress') return batch.status;
  const { total, rowsPerSecond, etaMs } = batch;
  const running = board.objective(OBJECTIVES.nightly.name)?.running ?? 0;
  const parts = [`${Math.max(0, total - endedRows - running)} wait, ${running} run`];
  if (rowsPerSecond !== null && rowsPerSecond > 0) parts.push(`${rowsPerSecond.toFixed(0)}/s`);
  if (etaMs !== null) parts.push(`${formatDuration(etaMs)} left`);
  // What holds it is told only while nothing runs: the server looks every second or two.
  if (batch.hold !== null && running === 0 && pool?.slots.open === 0) parts.push(batch.hold);
  return parts.join(', ');
}

function podLine({ pool, lives }: Board, elapsedMs: number): string {
  if (pool === null) return `${seconds(elapsedMs)}: the serving process is away`;
  const phases = Object.entries(pool.replicasByPhase).map(([phase, count]) => `${count} ${phase}`);
  const replicas = phases.length === 0 ? 'asleep' : phases.join(' + ');
  const gpu = Math.round(usedGpuSeconds(totalUsage(lives)));
  return `${seconds(elapsedMs)}: pods ${replicas}, slots ${pool.slots.used}/${pool.slots.open}, ${gpu} GPU-s`;
}

function seconds(elapsedMs: number): string {
  return `${(elapsedMs / 1_000).toFixed(0).padStart(3)} s`;
}
