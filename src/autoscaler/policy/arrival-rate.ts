/** Arrivals of one objective, counted in buckets of ten seconds over the last five minutes. */
export interface ArrivalRate {
  readonly startedMs: number;
  readonly lastTotal: number | null;
  readonly buckets: readonly { readonly startMs: number; readonly count: number }[];
}

export interface ArrivalRates {
  /** Arrivals per second over the last minute and the last five minutes. */
  readonly perS60: number;
  readonly perS300: number;
}

const BUCKET_MS = 10_000;
const LONG_MS = 300_000;
const SHORT_MS = 60_000;
/** The fullest buckets that do not count: a burst shorter than a bucket touches at most two. */
const TRIMMED_BUCKETS = 2;

export function newArrivalRate(nowMs: number): ArrivalRate {
  return { startedMs: nowMs, lastTotal: null, buckets: [] };
}

/** Adds what arrived since the last look. The first look, and a counter that went back, only set the base. */
export function observeArrivals(rate: ArrivalRate, arrivedTotal: number, nowMs: number): ArrivalRate {
  const added = rate.lastTotal === null ? 0 : Math.max(0, arrivedTotal - rate.lastTotal);
  const startMs = bucketStart(nowMs);
  const kept = rate.buckets.filter((bucket) => bucket.startMs >= startMs - LONG_MS);
  if (added === 0) return { startedMs: rate.startedMs, lastTotal: arrivedTotal, buckets: kept };
  const current = kept.find((bucket) => bucket.startMs === startMs);
  const others = kept.filter((bucket) => bucket !== current);
  const buckets = [...others, { startMs, count: (current?.count ?? 0) + added }];
  return { startedMs: rate.startedMs, lastTotal: arrivedTotal, buckets };
}

/**
 * The sustained rate over whole buckets, without the two fullest ones: a burst is work that the backlog rule sees;
 * counted as a rate it would order pods for arrivals that never come again. Zero until three buckets have passed.
 */
export function arrivalRates(rate: ArrivalRate, nowMs: number): ArrivalRates {
  return { perS60: sustainedPerS(rate, nowMs, SHORT_MS), perS300: sustainedPerS(rate, nowMs, LONG_MS) };
}

/** Everything counted over the last minute, per second; over the time there is when that is shorter. */
export function recentPerS(rate: ArrivalRate, nowMs: number): number {
  const spanMs = Math.min(SHORT_MS, nowMs - rate.startedMs);
  if (spanMs <= 0) return 0;
  const recent = rate.buckets.filter(({ startMs }) => startMs > nowMs - SHORT_MS);
  return (recent.reduce((sum, { count }) => sum + count, 0) / spanMs) * 1_000;
}

function sustainedPerS(rate: ArrivalRate, nowMs: number, windowMs: number): number {
  const endMs = bucketStart(nowMs);
  const beginMs = Math.max(endMs - windowMs, bucketStart(rate.startedMs) + BUCKET_MS);
  const countedMs = endMs - beginMs - TRIMMED_BUCKETS * BUCKET_MS;
  if (countedMs <= 0) return 0;
  const whole = rate.buckets.filter(({ startMs }) => startMs >= beginMs && startMs < endMs);
  const rising = whole.map(({ count }) => count).sort((a, b) => a - b);
  const counted = rising.slice(0, Math.max(0, rising.length - TRIMMED_BUCKETS));
  return (counted.reduce((sum, count) => sum + count, 0) / countedMs) * 1_000;
}

function bucketStart(atMs: number): number {
  return Math.floor(atMs / BUCKET_MS) * BUCKET_MS;
}
