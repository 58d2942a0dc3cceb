/** The largest number of pods wanted in each slice of the scale-down window. */
export interface DownWindow {
  readonly sinceMs: number;
  readonly slices: readonly { readonly startMs: number; readonly pods: number }[];
}

const SLICES = 20;

export function newDownWindow(nowMs: number): DownWindow {
  return { sinceMs: nowMs, slices: [] };
}

/** Notes what was wanted now; forgets what is older than the window. */
export function noteWanted(window: DownWindow, pods: number, nowMs: number, windowMs: number): DownWindow {
  const sliceMs = Math.max(1, windowMs / SLICES);
  const startMs = Math.floor(nowMs / sliceMs) * sliceMs;
  const kept = window.slices.filter((slice) => slice.startMs > nowMs - windowMs - sliceMs);
  const current = kept.find((slice) => slice.startMs === startMs);
  const others = kept.filter((slice) => slice !== current);
  return { ...window, slices: [...others, { startMs, pods: Math.max(pods, current?.pods ?? 0) }] };
}

/** Most pods wanted within the window; null while it has not been watched for so long. */
export function windowMaxPods(window: DownWindow, nowMs: number, windowMs: number): number | null {
  if (nowMs - window.sinceMs < windowMs) return null;
  return Math.max(0, ...window.slices.map(({ pods }) => pods));
}
