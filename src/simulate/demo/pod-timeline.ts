import type { Replica, WarmUpPhase } from '../../core/replicas.ts';

export interface PodSample {
  readonly atMs: number;
  readonly ready: number;
  readonly loading: number;
  readonly draining: number;
}

const MARKS = { ready: '█', loading: '░', draining: '▒' } as const;

export function podSample(atMs: number, replicas: readonly Pick<Replica, 'phase'>[]): PodSample {
  const count = (wanted: (phase: WarmUpPhase) => boolean) => replicas.filter(({ phase }) => wanted(phase)).length;
  const ready = count((phase) => phase === 'Ready');
  const draining = count((phase) => phase === 'Draining');
  return { atMs, ready, draining, loading: replicas.length - ready - draining };
}

/**
 * Replicas over time as a chart of `columns` characters: one row a replica, full = ready, light = loading, medium =
 * draining. Each column shows the sample with the most replicas in its stretch of time, so that none is missed.
 */
export function podChart(samples: readonly PodSample[], untilMs: number, columns: number): readonly string[] {
  const cells = Array.from({ length: columns }, (_cell, column) => busiest(samples, untilMs, columns, column));
  const height = Math.max(1, ...cells.map(total));
  const rows = Array.from({ length: height }, (_row, index) => {
    const level = height - index;
    return `${String(level).padStart(3)} │${cells.map((cell) => markAt(cell, level)).join('')}`.trimEnd();
  });
  return [...rows, `    └${'─'.repeat(columns)}`, timeAxis(untilMs, columns)];
}

const NOTHING: PodSample = { atMs: 0, ready: 0, loading: 0, draining: 0 };

function busiest(samples: readonly PodSample[], untilMs: number, columns: number, column: number): PodSample {
  const fromMs = (untilMs * column) / columns;
  const toMs = (untilMs * (column + 1)) / columns;
  const before = samples.findLast(({ atMs }) => atMs <= fromMs) ?? NOTHING;
  const within = samples.filter(({ atMs }) => atMs > fromMs && atMs < toMs);
  return within.reduce((most, sample) => (total(sample) > total(most) ? sample : most), within.at(-1) ?? before);
}

function total({ ready, loading, draining }: PodSample): number {
  return ready + loading + draining;
}

function markAt({ ready, draining, loading }: PodSample, level: number): string {
  if (level <= ready) return MARKS.ready;
  if (level <= ready + draining) return MARKS.draining;
  return level <= ready + draining + loading ? MARKS.loading : ' ';
}

/** Seconds below the chart, at its quarters. */
function timeAxis(untilMs: number, columns: number): string {
  let axis = ' '.repeat(5);
  for (const quarter of [0, 1, 2, 3, 4]) {
    const label = `${Math.round((untilMs * quarter) / 4_000)}s`;
    const at = 5 + Math.round((columns * quarter) / 4);
    axis = axis.padEnd(quarter === 4 ? at - label.length : at) + label;
  }
  return axis;
}
