/* eslint-disable @typescript-eslint/require-await -- fakes answer at once, through the same promises as the real ones */
import { decodeRowRecord } from '../../src/batch/adapters/rows/row-records.ts';
import { PLAN_ENTRY_BYTES, writePlanEntry } from '../../src/batch/policy/plan-entry.ts';
import type { BatchDoc, BatchJournal, FileCabinet, RowGroup, RowStates } from '../../src/batch/ports.ts';
import { MemoryRowStates } from '../../src/batch/rows/memory-row-states.ts';
import type { ChunkItem, RowHint, RowHints } from '../../src/batch/rows/ports.ts';
import type { BlobStore } from '../../src/core/blobs.ts';
import type { Clock } from '../../src/core/clock.ts';
import { PilotlightError } from '../../src/core/errors.ts';
import type { Identity } from '../../src/core/identity.ts';
import { MemoryBlobStore } from './memory-blob-store.ts';
import { POOL } from './stored-world.ts';

export const OBJECTIVE = 'nightly';

export interface BatchFields {
  readonly id?: string;
  readonly rows: number;
  readonly tenant?: string;
  readonly weight?: number;
  readonly deadlineEpochMs?: number;
  /** End of its window; a day from now unless said. */
  readonly expiresAtEpochMs?: number;
  readonly objectives?: readonly string[];
  readonly includeRowMeta?: boolean;
  readonly maxAttempts?: number;
}

/** Several tenants' batches over one store, one Redis (or what stands for it), one pool. */
export class RowWorld {
  readonly store: BlobStore;
  readonly states: RowStates;
  readonly clock: Clock;
  readonly docs = new Map<string, BatchDoc>();
  readonly listeners = new Set<(hint: RowHint) => void>();
  readonly journalListeners = new Set<(doc: BatchDoc) => void>();
  readonly items = new Map<string, ChunkItem & { state: 'waiting' | 'held'; claims: number; crashes: number }>();
  /** Tries by row id, over all processes. */
  readonly tries = new Map<string, number>();
  /** Rows that some process runs now: the live order. */
  readonly live = new Set<string>();
  /** In the order in which the backlog heard of them. */
  readonly added: string[] = [];
  readonly opened: string[] = [];

  constructor(parts: { store?: BlobStore; states?: RowStates; clock: Clock }) {
    this.store = parts.store ?? new MemoryBlobStore();
    this.states = parts.states ?? new MemoryRowStates();
    this.clock = parts.clock;
  }

  /** Input file, plan and states of a batch whose rows may run. */
  async addBatch(fields: BatchFields): Promise<BatchDoc> {
    const { id = `batch_${this.docs.size + 1}`, rows, objectives = [OBJECTIVE] } = fields;
    const lines = Array.from({ length: rows }, (_, line) => lineOf(line));
    const content = Buffer.from(lines.map((line) => `${line}\n`).join(''));
    const fileKey = `files/${id}.data`;
    await this.store.put(fileKey, once(content));
    const plan = new Uint8Array(rows * PLAN_ENTRY_BYTES);
    const view = new DataView(plan.buffer);
    const perGroup = Math.ceil(rows / objectives.length);
    let offsetBytes = 0;
    for (const [line, text] of lines.entries()) {
      const lengthBytes = Buffer.byteLength(text);
      const entry = { line, offsetBytes, lengthBytes, group: Math.floor(line / perGroup), inputTokens: 10 };
      writePlanEntry(view, line * PLAN_ENTRY_BYTES, { ...entry, maxOutputTokens: 20, maxAttempts: null });
      offsetBytes += lengthBytes + 1;
    }
    const planKey = `batches/${id}/plan`;
    await this.store.put(planKey, once(plan));
    const groups = objectives.map((objective, index): RowGroup => {
      const firstPlace = index * perGroup;
      const count = Math.max(0, Math.min(perGroup, rows - firstPlace));
      const tokens = { inputTokens: 10 * count, maxOutputTokens: 20 * count };
      const way = { path: '/v1/chat/completions', model: 'chat', servedModel: 'chat', adapter: null } as const;
      return { pool: POOL, objective, ...way, firstPlace, rows: count, ...tokens };
    });
    const doc = batchDoc(id, fields, {
      plan: { runnable: rows, total: rows, planKey, groups, inputBytes: content.length, longestRowBytes: 200 },
      file: { key: fileKey, bytes: content.length },
      nowEpochMs: this.clock.epochMs(),
    });
    this.docs.set(id, doc);
    await this.states.open(id, rows, 'open');
    return doc;
  }

  change(id: string, fields: Partial<BatchDoc>): BatchDoc {
    const doc = this.docs.get(id);
    if (!doc) throw new Error(`no batch ${id}`);
    const next = { ...doc, ...fields, generation: doc.generation + 1 };
    this.docs.set(id, next);
    for (const listener of this.journalListeners) listener(next);
    return next;
  }

  /** State and line of each row, as a finaliser would read them. Throws when a record is not what the word says. */
  async outcome(id: string): Promise<{ state: string; line: string }[]> {
    const doc = this.docs.get(id);
    const words = await this.states.words(id, 0, doc?.plan?.runnable ?? 0);
    return Promise.all(
      words.map(async ({ state, record }, place) => {
        if (!record) return { state, line: '' };
        const range = { firstByte: record.offsetBytes, lastByte: record.offsetBytes + record.lengthBytes - 1 };
        const bytes = await this.store.readAll(record.key, range);
        const found = bytes && decodeRowRecord(bytes);
        if (found?.record.place !== place || found.record.state !== state)
          throw new Error(`row ${place} is not its record`);
        return { state, line: Buffer.from(found.line).toString() };
      }),
    );
  }

  journal(): BatchJournal {
    return {
      create: async () => ({ kind: 'advanced' }),
      read: async (id) => this.docs.get(id) ?? null,
      advance: async () => ({ kind: 'advanced' }),
      async *all() {
        // Nobody asks for it here.
      },
      remove: async () => undefined,
      onChange: (listener) => {
        this.journalListeners.add(listener);
        return () => this.journalListeners.delete(listener);
      },
    };
  }

  cabinet(): Pick<FileCabinet, 'read'> {
    const { store } = this;
    return {
      async *read(file, range, signal) {
        const [part] = file.parts;
        const bytes = await store.read(part?.key ?? '', range, signal);
        if (!bytes) throw new PilotlightError('file_not_found', `There is no file ${file.id}.`);
        yield* bytes;
      },
    };
  }

  hints(): RowHints {
    return {
      publish: (hint) => {
        for (const listener of [...this.listeners]) listener(hint);
      },
      onHint: (listener) => {
        this.listeners.add(listener);
        return () => this.listeners.delete(listener);
      },
    };
  }

  /** The claims of a process that is no more come back. */
  recoverDead(): void {
    this.live.clear();
    for (const item of this.items.values()) {
      if (item.state !== 'held') continue;
      item.state = 'waiting';
      item.crashes += 1;
    }
  }
}

export async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

function lineOf(line: number): string {
  const body = { model: 'chat', messages: [{ role: 'user', content: `ticket ${line} "quoted" {[` }] };
  return JSON.stringify({ custom_id: `ticket-${line}`, method: 'POST', url: '/v1/chat/completions', body });
}

function batchDoc(
  id: string,
  fields: BatchFields,
  parts: { plan: NonNullable<BatchDoc['plan']>; file: { key: string; bytes: number }; nowEpochMs: number },
): BatchDoc {
  const { plan, file, nowEpochMs } = parts;
  const tenant = fields.tenant ?? 'team-a';
  const identity = { tenant, weight: fields.weight ?? 1 } as Identity;
  return {
    id,
    generation: 1,
    identity,
    inputFile: {
      id: `file-${id}`,
      tenant,
      bytes: file.bytes,
      createdAtEpochMs: nowEpochMs,
      expiresAtEpochMs: null,
      filename: 'tickets.jsonl',
      purpose: 'batch',
      parts: [file],
      etag: 'e',
    },
    onlyRowsKey: null,
    endpoint: '/v1/chat/completions',
    completionWindow: '24h',
    metadata: null,
    outputExpiresAfterMs: null,
    wishes: {
      objective: null,
      deadlineEpochMs: fields.deadlineEpochMs ?? null,
      maxAttempts: fields.maxAttempts ?? null,
      onInvalidRow: 'fail',
      includeRowMeta: fields.includeRowMeta ?? false,
    },
    createdAtEpochMs: nowEpochMs,
    expiresAtEpochMs: fields.expiresAtEpochMs ?? nowEpochMs + 86_400_000,
    retryOf: null,
    retriedBy: null,
    status: 'in_progress',
    stamps: {
      inProgressAtEpochMs: nowEpochMs,
      finalizingAtEpochMs: null,
      completedAtEpochMs: null,
      failedAtEpochMs: null,
      expiredAtEpochMs: null,
      cancellingAtEpochMs: null,
      cancelledAtEpochMs: null,
    },
    errors: null,
    plan,
    pause: null,
    ending: null,
    final: null,
  };
}
