import { KUBE_MARKS } from '../../core/kubernetes.ts';
import { NO_ORDER, type PoolOrder } from '../../core/pool-orders.ts';
import { LONGEST_ORDER_MS, MOST_WAKE_REPLICAS } from './order-rules.ts';

type Marks = Readonly<Record<string, string>>;

export interface ReadMarks {
  readonly order: PoolOrder;
  /** Annotations that are ignored because they are not what they should be; one sentence each, with the remedy. */
  readonly problems: readonly string[];
}

const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
const COUNT = /^[1-9]\d{0,3}$/;

/** The order that a ScalePolicy's annotations give. One that is malformed orders nothing; the others hold. */
export function readMarks(annotations: Marks, nowEpochMs: number): ReadMarks {
  const problems: string[] = [];
  const until = (mark: string): number | null => {
    const text = annotations[mark];
    if (text === undefined) return null;
    const atEpochMs = RFC3339.test(text) ? Date.parse(text) : Number.NaN;
    if (Number.isFinite(atEpochMs) && atEpochMs <= nowEpochMs + LONGEST_ORDER_MS) return atEpochMs;
    problems.push(
      Number.isFinite(atEpochMs)
        ? `annotation ${mark} is ${show(text)}, more than 7 days ahead, and is ignored; write an earlier time or remove it`
        : `annotation ${mark} is ${show(text)} and is ignored; write a time like 2030-01-31T18:00:00Z or remove it`,
    );
    return null;
  };
  const wakeUntilEpochMs = until(KUBE_MARKS.wakeUntil);
  const drainUntilEpochMs = until(KUBE_MARKS.drainUntil);
  const replicas = annotations[KUBE_MARKS.wakeReplicas];
  const isCount = replicas === undefined || (COUNT.test(replicas) && Number(replicas) <= MOST_WAKE_REPLICAS);
  if (!isCount) {
    problems.push(
      `annotation ${KUBE_MARKS.wakeReplicas} is ${show(replicas)} and is taken as 1; write a number from 1 to ${MOST_WAKE_REPLICAS}`,
    );
  }
  const paused = annotations[KUBE_MARKS.paused];
  if (paused !== undefined && paused !== 'true' && paused !== 'false') {
    problems.push(`annotation ${KUBE_MARKS.paused} is ${show(paused)} and is ignored; write "true" or remove it`);
  }
  const isBoth = wakeUntilEpochMs !== null && drainUntilEpochMs !== null && wakeUntilEpochMs > nowEpochMs;
  if (isBoth && drainUntilEpochMs > nowEpochMs) {
    problems.push(
      `annotations ${KUBE_MARKS.wakeUntil} and ${KUBE_MARKS.drainUntil} contradict each other: the pool is drained; remove one`,
    );
  }
  const drains = drainUntilEpochMs !== null && drainUntilEpochMs > nowEpochMs;
  const order: PoolOrder = {
    ...NO_ORDER,
    wakeUntilEpochMs: drains ? null : wakeUntilEpochMs,
    wakeReplicas: wakeUntilEpochMs === null || drains ? 0 : isCount ? Number(replicas ?? 1) : 1,
    drainUntilEpochMs,
    paused: paused === 'true',
    by: annotations[KUBE_MARKS.orderedBy]?.slice(0, 253) ?? null,
  };
  return { order, problems };
}

/** A merge patch of annotations for a checked change; null removes one. */
export function writeMarks(change: Partial<PoolOrder>): Readonly<Record<string, string | null>> {
  const { wakeUntilEpochMs, wakeReplicas, drainUntilEpochMs, paused, by } = change;
  const time = (epochMs: number | null): string | null => (epochMs === null ? null : new Date(epochMs).toISOString());
  return {
    ...(wakeUntilEpochMs === undefined ? {} : { [KUBE_MARKS.wakeUntil]: time(wakeUntilEpochMs) }),
    ...(wakeReplicas === undefined
      ? {}
      : { [KUBE_MARKS.wakeReplicas]: wakeReplicas === 0 ? null : String(wakeReplicas) }),
    ...(drainUntilEpochMs === undefined ? {} : { [KUBE_MARKS.drainUntil]: time(drainUntilEpochMs) }),
    ...(paused === undefined ? {} : { [KUBE_MARKS.paused]: paused ? 'true' : null }),
    ...(by === undefined ? {} : { [KUBE_MARKS.orderedBy]: by }),
  };
}

function show(text: string | undefined): string {
  const whole = text ?? '';
  return `"${whole.length > 64 ? `${whole.slice(0, 63)}…` : whole}"`;
}
