import { estimatedCostTokens } from '../../../core/admission.ts';
import type { PoolKey } from '../../../core/objects.ts';

/** Rows that go the same way, as far as their chunks depend on it. */
export interface ChunkGroup {
  readonly pool: PoolKey;
  readonly objective: string;
  readonly firstPlace: number;
  readonly rows: number;
  readonly inputTokens: number;
  readonly maxOutputTokens: number;
}

/** Rows that are claimed together: places `firstPlace` to `firstPlace + rows − 1`, all of one group. */
export interface Chunk {
  readonly id: string;
  readonly firstPlace: number;
  readonly rows: number;
  readonly costTokens: number;
}

/** Where chunks wait: one queue for each. */
export interface ChunkLane {
  readonly pool: PoolKey;
  readonly objective: string;
  readonly chunks: readonly Chunk[];
}

export function chunkId(batchId: string, firstPlace: number): string {
  return `${batchId}.${firstPlace}`;
}

export interface ChunkPointer {
  readonly batchId: string;
  readonly firstPlace: number;
  readonly rows: number;
  /** Its tag in the backlog, for whoever opens it. */
  readonly tag: number;
}

/** "<batch>/<first place>/<rows>/<tag>": what a chunk carries through the backlog. */
export function chunkPointer({ batchId, firstPlace, rows, tag }: ChunkPointer): string {
  return `${batchId}/${firstPlace}/${rows}/${tag}`;
}

/** Undefined when the text is no pointer. */
export function parseChunkPointer(text: string): ChunkPointer | undefined {
  const [, batchId, firstPlace, rows, tag] = /^([^/]+)\/(\d{1,9})\/(\d{1,6})\/(\d{1,7})$/.exec(text) ?? [];
  if (batchId === undefined || Number(rows) === 0) return undefined;
  return { batchId, firstPlace: Number(firstPlace), rows: Number(rows), tag: Number(tag) };
}

/** Tokens that so many rows of a group are counted at. */
export function costOf(group: ChunkGroup, rows: number): number {
  if (group.rows === 0) return 0;
  return Math.ceil((estimatedCostTokens(group) * rows) / group.rows);
}

/** The group that has this place. */
export function groupAt<Group extends ChunkGroup>(groups: readonly Group[], place: number): Group | undefined {
  return groups.find(({ firstPlace, rows }) => place >= firstPlace && place < firstPlace + rows);
}

/** The rows of a batch in chunks, in plan order, by the queue they belong to. Every runnable place is in one chunk. */
export function chunkLanes(batchId: string, groups: readonly ChunkGroup[], chunkRows: number): ChunkLane[] {
  const lanes = new Map<string, { pool: PoolKey; objective: string; chunks: Chunk[] }>();
  for (const group of groups) {
    const { pool, objective } = group;
    const key = JSON.stringify([pool, objective]);
    const lane = lanes.get(key) ?? { pool, objective, chunks: [] };
    lanes.set(key, lane);
    for (let first = 0; first < group.rows; first += chunkRows) {
      const rows = Math.min(chunkRows, group.rows - first);
      const firstPlace = group.firstPlace + first;
      lane.chunks.push({ id: chunkId(batchId, firstPlace), firstPlace, rows, costTokens: costOf(group, rows) });
    }
  }
  return [...lanes.values()];
}

interface Due {
  readonly wishes: { readonly deadlineEpochMs: number | null };
  readonly expiresAtEpochMs: number;
}

/**
 * When its rows should be done: the caller's own wish, or the end of its window. Rows run until the end of the window; the wish
 * says how early a batch comes among others, and how many replicas it is worth.
 */
export function deadlineOf({ wishes, expiresAtEpochMs }: Due): number {
  return Math.min(wishes.deadlineEpochMs ?? Number.POSITIVE_INFINITY, expiresAtEpochMs);
}

/** The deadline that replicas are ordered for; null = it was missed, and the rows are as urgent as work without one. */
export function dueAheadOf(due: Due, nowEpochMs: number): number | null {
  const deadlineEpochMs = deadlineOf(due);
  return deadlineEpochMs > nowEpochMs ? deadlineEpochMs : null;
}
