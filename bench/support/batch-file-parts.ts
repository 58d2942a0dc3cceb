/** One part of `batch-files` in a process of its own, so that its memory is its own: part, folder, rows, answer bytes. */
import { createReadStream, createWriteStream } from 'node:fs';
import { open, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { pipeline } from 'node:stream/promises';
import { decodeRowRecord, rowRecords } from '../../src/batch/adapters/rows/row-records.ts';
import { startValidationThread } from '../../src/batch/adapters/validation/validation-thread.ts';
import { createFinalise } from '../../src/batch/finalise/finalise.ts';
import { answeredLine, rowId } from '../../src/batch/policy/lines.ts';
import type { BatchDoc, BatchPlan, RowStates, RowWord } from '../../src/batch/ports.ts';
import { createValidate } from '../../src/batch/validation/validate.ts';
import type { BlobStore, SegmentPlace } from '../../src/core/blobs.ts';
import type { StoredFile } from '../../src/core/files.ts';
import type { Identity } from '../../src/core/identity.ts';
import { seededRandom } from '../../src/core/random.ts';
import { FolderBlobStore } from '../../src/platform/blobs/folder/folder-blob-store.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { BATCH_WORKER_ENTRY } from '../../src/roles/batch-worker.ts';

export interface FileReport {
  readonly seconds: number;
  readonly bytes: number;
  readonly cpuUs: number;
  readonly peakBytes: number;
  readonly delayMs: number;
}

const BATCH = 'batch_bench';
const SEGMENTS = 4;
const WINDOW = 2_000;
/** Number of the segment, offset and length of a record. */
const PLACE_NUMBERS = 3;
const LF = 0x0a;
const [part = '', folder = '', rowsText = '', answerText = ''] = process.argv.slice(2);
const rows = Number(rowsText);
const input = join(folder, 'rows.jsonl');
const store: BlobStore = new FolderBlobStore(join(folder, 'store'), { clock: systemClock, random: seededRandom(1) });
const identity = { tenant: 'bench' } as Identity;
const signal = new AbortController().signal;

const PARTS: Readonly<Record<string, () => Promise<number>>> = { bare, validate, prepare, copy, finalise };
const delay = monitorEventLoopDelay({ resolution: 1 });
const run = PARTS[part];
if (!run) throw new Error(`there is no part '${part}'`);
const ready = part === 'finalise' ? await readEnds() : null;
delay.enable();
const cpuBefore = process.cpuUsage();
const beganMs = performance.now();
const bytes = await run();
const { user, system } = process.cpuUsage(cpuBefore);
const report: FileReport = {
  seconds: (performance.now() - beganMs) / 1_000,
  bytes,
  cpuUs: user + system,
  peakBytes: process.resourceUsage().maxRSS * 1_024,
  delayMs: delay.max / 1e6,
};
process.stdout.write(JSON.stringify(report));

async function bare(): Promise<number> {
  let rest: Buffer = Buffer.alloc(0);
  let total = 0;
  for await (const chunk of createReadStream(input) as AsyncIterable<Buffer>) {
    total += chunk.length;
    const all = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    let from = 0;
    for (let end = all.indexOf(LF); end !== -1; end = all.indexOf(LF, from)) {
      JSON.parse(all.toString('utf8', from, end));
      from = end + 1;
    }
    rest = all.subarray(from);
  }
  return total;
}

async function validated(): Promise<BatchPlan> {
  const file = { id: 'file-in', bytes: (await stat(input)).size } as StoredFile;
  const check = createValidate({
    store,
    files: { read: () => createReadStream(input) },
    startThread: () => startValidationThread(BATCH_WORKER_ENTRY),
    resolve: (_identity, path, model) => ({
      pool: 'bench/p',
      objective: 'o',
      path,
      model,
      servedModel: model,
      adapter: null,
    }),
    limits: {
      batchFileBytes: 2 ** 40,
      rows,
      lineBytes: 8 * 2 ** 20,
      models: 16,
      customIdBytes: 512,
      inputs: null,
      json: { depth: 128, parts: 250_000 },
    },
  });
  const wishes = {
    objective: null,
    deadlineEpochMs: null,
    maxAttempts: null,
    onInvalidRow: 'fail',
    includeRowMeta: false,
  } as const;
  const endpoint = '/v1/chat/completions';
  const planKey = `batches/${BATCH}/plan-1`;
  const result = await check(
    { batchId: BATCH, identity, endpoint, wishes, file, onlyRowsKey: null, objective: null, planKey },
    { signal, onProgress: () => undefined },
  );
  if (result.kind === 'invalid') throw new Error(JSON.stringify(result.errors[0]));
  return result.plan;
}

async function validate(): Promise<number> {
  return (await validated()).inputBytes;
}

/** Plan, records of all rows, and where they lie. */
async function prepare(): Promise<number> {
  const plan = await validated();
  const answer = new TextEncoder().encode(JSON.stringify({ id: 'chatcmpl-1', text: 'x'.repeat(Number(answerText)) }));
  const logs = Array.from({ length: SEGMENTS }, () =>
    store.openLog(`batches/${BATCH}/rows/`, { segmentBytes: 2 ** 30 }),
  );
  const random = seededRandom(2);
  const places = new Float64Array(rows * PLACE_NUMBERS);
  const keys: string[] = [];
  for (let first = 0; first < rows; first += WINDOW) {
    const order = Array.from({ length: Math.min(WINDOW, rows - first) }, (_, at) => ({
      place: first + at,
      turn: random.next(),
    }));
    order.sort((a, b) => a.turn - b.turn);
    const written = order.map(async ({ place, turn }) => {
      const log = logs[Math.floor(turn * 1_000) % SEGMENTS];
      if (!log) throw new Error('there is a log');
      const head = { id: rowId(BATCH, place), customId: `ticket-${place}` };
      const line = answeredLine(head, { statusCode: 200, requestId: head.id, body: answer });
      const usage = { inputTokens: 700, cachedTokens: 0, outputTokens: 200, reasoningTokens: 0 };
      const record = { batchId: BATCH, place, attempt: 1, state: 'completed', usage } as const;
      const { key, offsetBytes, lengthBytes } = await log.append(rowRecords.encode(record, line));
      if (!keys.includes(key)) keys.push(key);
      places.set([keys.indexOf(key), offsetBytes, lengthBytes], place * PLACE_NUMBERS);
    });
    await Promise.all(written);
  }
  await Promise.all(logs.map((log) => log.close()));
  await writeFile(join(folder, 'ends'), places);
  await writeFile(join(folder, 'ends.json'), JSON.stringify({ plan, keys }));
  return 0;
}

/** The states of rows that have all completed, in as little memory as Redis has for them. */
async function readEnds(): Promise<{ readonly plan: BatchPlan; readonly states: Pick<RowStates, 'totals' | 'words'> }> {
  const { plan, keys } = JSON.parse(await readFile(join(folder, 'ends.json'), 'utf8')) as {
    plan: BatchPlan;
    keys: readonly string[];
  };
  const places = new Float64Array((await readFile(join(folder, 'ends'))).buffer);
  const placeOf = (place: number): SegmentPlace => {
    const [key = 0, offsetBytes = 0, lengthBytes = 0] = places.subarray(place * PLACE_NUMBERS);
    return { key: keys[key] ?? '', offsetBytes, lengthBytes };
  };
  const wordOf = (place: number): RowWord => ({ state: 'completed', attempt: 1, record: placeOf(place) });
  const usage = { inputTokens: 700 * rows, cachedTokens: 0, outputTokens: 200 * rows, reasoningTokens: 0 };
  const totals = { pending: 0, completed: rows, failed: 0, expired: 0, cancelled: 0, usage, gate: 'closed' } as const;
  return {
    plan,
    states: {
      totals: () => Promise.resolve(totals),
      words: (_id, first, count) => Promise.resolve(Array.from({ length: count }, (_, at) => wordOf(first + at))),
    },
  };
}

async function copy(): Promise<number> {
  const segments = join(folder, 'store', 'batches', BATCH, 'rows');
  const names = await readdir(segments, { recursive: true });
  const files = names.filter((name) => name.endsWith('.seg')).map((name) => join(segments, name));
  const target = join(folder, 'copy');
  for (const [index, file] of files.entries()) {
    await pipeline(createReadStream(file), createWriteStream(target, { flags: index === 0 ? 'w' : 'a' }));
  }
  const handle = await open(target, 'r+');
  await handle.datasync();
  await handle.close();
  return (await stat(target)).size;
}

async function finalise(): Promise<number> {
  if (!ready) throw new Error('the ends were read before');
  const key = `files/out-${process.pid}.data`;
  let written = 0;
  const assemble = createFinalise({
    store,
    states: ready.states,
    decodeRecord: decodeRowRecord,
    files: {
      read: () => createReadStream(input),
      createOutput: async (file, source) => {
        const answer = await store.put(key, source);
        if (answer.kind === 'stored') written = answer.bytes;
        return { id: file.id } as StoredFile;
      },
    },
  });
  const doc = { id: BATCH, identity, plan: ready.plan, outputExpiresAfterMs: null } as BatchDoc;
  const { counts } = await assemble(doc, { signal, onProgress: () => undefined });
  if (counts.completed !== rows) throw new Error(`${counts.completed} of ${rows} rows completed`);
  await store.delete(key);
  return written;
}
