import { type Replica, WARM_UP_PHASES } from '../../../core/replicas.ts';
import type { DecisionRecord } from '../../decision-log.ts';
import type { WaitAdvice } from '../../policy/wait-advice.ts';
import type { PoolView } from '../../pool-view.ts';

/** What the controller tells gateways of one pool. */
export interface BoardView extends PoolView {
  /** Replicas that exist and are left out of `status.replicas`. */
  readonly omittedReplicas: number;
}

/** Fields are only ever added within a format. */
const FORMAT = 1;
const MOST_REPLICAS = 100;
const LONGEST_TEXT_CHARS = 1_024;
const MOST_DECISIONS_BYTES = 128 * 1_024;
const REPLICAS_PER_DECISION = 20;

/**
 * JSON of at most about 100 replicas: whatever the pool's size, one of each phase is among them, then those that are no
 * longer or not yet ready, as people ask for these.
 */
export function encodeView(view: PoolView): string {
  const replicas = fewReplicas(view.status.replicas);
  const advice = view.advice === null ? null : { ...view.advice, immediate: [...view.advice.immediate] };
  const omittedReplicas = view.status.replicas.length - replicas.length;
  return JSON.stringify(
    { ...view, format: FORMAT, status: { ...view.status, replicas }, omittedReplicas, advice },
    clip,
  );
}

/** Null when it is of another format or damaged. */
export function decodeView(text: string): BoardView | null {
  try {
    const { format, advice, ...view } = JSON.parse(text) as Wire;
    if (format !== FORMAT || !Array.isArray(view.status.replicas)) return null;
    return { ...view, advice: advice === null ? null : adviceOf(advice) };
  } catch {
    return null;
  }
}

interface Wire extends Omit<BoardView, 'advice'> {
  readonly format: number;
  readonly advice: WireAdvice | null;
}

interface WireAdvice extends Omit<WaitAdvice, 'immediate' | 'queuedByPriority'> {
  readonly immediate: readonly string[];
  /** Absent in what an older controller told: all of it then counts as standing before everybody. */
  readonly queuedByPriority?: WaitAdvice['queuedByPriority'];
}

/** As the board has it, as callers of this process read it. */
export function adviceOf({ immediate, queuedByPriority, ...advice }: WireAdvice): WaitAdvice {
  const untold = [{ priority: Number.MAX_SAFE_INTEGER, queued: advice.queued }];
  return { ...advice, immediate: new Set(immediate), queuedByPriority: queuedByPriority ?? untold };
}

/** JSON of the newest decisions, oldest first, as many as fit into 128 KiB; each shows the first 20 replicas it saw. */
export function encodeDecisions(records: readonly DecisionRecord[]): string {
  const kept: string[] = [];
  let bytes = 2;
  for (const record of records.toReversed()) {
    const { snapshot } = record;
    const replicas = snapshot.replicas.slice(0, REPLICAS_PER_DECISION);
    const omitted = snapshot.replicas.length - replicas.length;
    const shown = omitted === 0 ? snapshot : { ...snapshot, replicas, omittedReplicas: omitted };
    const text = JSON.stringify({ ...record, snapshot: shown }, clip);
    bytes += Buffer.byteLength(text) + 1;
    if (bytes > MOST_DECISIONS_BYTES) break;
    kept.unshift(text);
  }
  return `[${kept.join(',')}]`;
}

export function decodeDecisions(text: string | null): readonly unknown[] {
  try {
    const read = JSON.parse(text ?? '[]') as unknown;
    return Array.isArray(read) ? (read as unknown[]) : [];
  } catch {
    return [];
  }
}

function fewReplicas(replicas: readonly Replica[]): readonly Replica[] {
  if (replicas.length <= MOST_REPLICAS) return replicas;
  const oneOfEach = WARM_UP_PHASES.flatMap((phase) => replicas.find((replica) => replica.phase === phase) ?? []);
  const others = replicas.filter((replica) => !oneOfEach.includes(replica));
  const byInterest = [
    ...others.filter(({ phase }) => phase !== 'Ready'),
    ...others.filter(({ phase }) => phase === 'Ready'),
  ];
  return [...oneOfEach, ...byInterest].slice(0, MOST_REPLICAS);
}

/** For JSON.stringify: no text of a model server or an API server makes a record large. */
function clip(_key: string, value: unknown): unknown {
  return typeof value === 'string' && value.length > LONGEST_TEXT_CHARS
    ? `${value.slice(0, LONGEST_TEXT_CHARS - 1)}…`
    : value;
}
