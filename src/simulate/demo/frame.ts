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
  readonly jobs: number;
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

function nightlyBar(board: Board, { jobs }: Planned): FrameBar {
  const { name } = OBJECTIVES.nightly;
  const running = board.objective(name)?.running ?? 0;
  const waiting = Math.max(0, board.accepted.length - board.settledJobs - running);
  const refused = board.refusals.jobs > 0 ? `, ${board.refusals.jobs} × 429` : '';
  const note = `${waiting} wait, ${running} run${refused}`;
  return { label: name, value: board.settledJobs, total: jobs, unit: 'jobs', note };
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
