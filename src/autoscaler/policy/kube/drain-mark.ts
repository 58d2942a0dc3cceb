import { KUBE_MARKS } from '../../../core/kubernetes.ts';
import { epochMs, type Pod } from './pod.ts';

/** What a mark of ours on a pod says: "TERM@TIME@INSTALLATION". */
export interface DrainMark {
  /** Of the leader who set it. */
  readonly term: string;
  /** By the clock of that leader; null when it does not say. */
  readonly sinceEpochMs: number | null;
  /** Null when it does not say: nobody's but the pool's own. */
  readonly installation: string | null;
}

/** Low enough to go before every pod that says nothing (0), high enough to leave room for what users write. */
export const VICTIM_COST = '-1000';

export function formatMark(term: number, sinceEpochMs: number, installation: string): string {
  return `${term}@${new Date(sinceEpochMs).toISOString()}@${installation}`;
}

/** Reads any text: what it does not say is null. */
export function parseMark(text: string): DrainMark {
  const [term = '', time, installation] = text.split('@');
  return { term, sinceEpochMs: epochMs(time), installation: installation || null };
}

/** Null = it has none. */
export function drainMark(pod: Pod): DrainMark | null {
  const text = pod.metadata.annotations?.[KUBE_MARKS.drain];
  return text === undefined ? null : parseMark(text);
}

/** A merge patch of annotations that removes every mark of ours; empty when there is none. A foreign deletion cost stays. */
export function withoutMarks({ metadata: { annotations = {} } }: Pod): Readonly<Record<string, null>> {
  const isOurs = annotations[KUBE_MARKS.podDeletionCost] === VICTIM_COST;
  const marks = [KUBE_MARKS.drain, KUBE_MARKS.victim].filter((mark) => annotations[mark] !== undefined);
  return Object.fromEntries([...marks, ...(isOurs ? [KUBE_MARKS.podDeletionCost] : [])].map((mark) => [mark, null]));
}

/** Whether every mark on it is of that installation, and it has one. A mark that names none is not touched. */
export function isMarkedBy(pod: Pod, installation: string): boolean {
  const { annotations = {} } = pod.metadata;
  const marks = [annotations[KUBE_MARKS.drain], annotations[KUBE_MARKS.victim]].filter((text) => text !== undefined);
  return marks.length > 0 && marks.every((text) => parseMark(text).installation === installation);
}
