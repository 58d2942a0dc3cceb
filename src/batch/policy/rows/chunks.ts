import { estimatedCostTokens } from '../../../core/admission.ts';
import type { PoolKey } from '../../../core/objects.ts';
import type { BatchDoc, RowGroup } from '../../ports.ts';

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
  readonly groups: readonly RowGroup[];
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
export function costOf(group: RowGroup, rows: number): number {
  if (group.rows === 0) return 0;
  return Math.ceil((estimatedCostTokens(group) * rows) / group.rows);
}

/** The group that has this place. */
export function groupAt(groups: readonly RowGroup[], place: number): RowGroup | undefined {
  return groups.find(({ firstPlace, rows }) => place >= firstPlace && place < firstPlace + rows);
}

/** The rows of a batch in chunks, in plan order, by the queue they belong to. Every runnable place is in one chunk. */
export function chunkLanes(doc: Pick<BatchDoc, 'id' | 'plan'>, chunkRows: number): ChunkLane[] {
  const lanes = new Map<string, { pool: PoolKey; objective: string; groups: RowGroup[]; chunks: Chunk[] }>();
  for (const group of doc.plan?.groups ?? []) {
    const { pool, objective } = group;
    const key = JSON.stringify([pool, objective]);
    const lane = lanes.get(key) ?? { pool, objective, groups: [], chunks: [] };
    lanes.set(key, lane);
    lane.groups.push(group);
    for (let first = 0; first < group.rows; first += chunkRows) {
      const rows = Math.min(chunkRows, group.rows - first);
      const firstPlace = group.firstPlace + first;
      lane.chunks.push({ id: chunkId(doc.id, firstPlace), firstPlace, rows, costTokens: costOf(group, rows) });
    }
  }
  return [...lanes.values()];
}

/** When its rows have to be done: the caller's own wish, or the end of its window. */
export function deadlineOf(doc: Pick<BatchDoc, 'wishes' | 'expiresAtEpochMs'>): number {
  return Math.min(doc.wishes.deadlineEpochMs ?? Number.POSITIVE_INFINITY, doc.expiresAtEpochMs);
}
