/**
 * One batch from upload to download, against a model server that answers at once (or after --work-ms).
 *
 *   npm run bench -- batches [--rows 200000] [--row-bytes 3200] [--slots 128] [--work-ms 0] [--rounds 1] [--save NAME] [--redis URL]
 *                            [--profile FOLDER] [--serve-node "FLAGS FOR NODE"]
 *
 * Each round: the bare client sends every row's body straight to the model server, as many at a time as there are slots,
 * without queue or storage; then the same file is uploaded in parts and run as a batch. Told are
 *
 * - upload, validation: MB/s, by the clock here and by the stamps of the batch (whole seconds) and its progress
 * - rows: rows/s from the first look at in_progress to the last row, and their ratio to the bare client's in the same round
 * - end to end: from the create call to the completed batch
 * - finalise: seconds
 * - memory: peak resident set of `pilotlight serve`, over all and in each stage; with each of those peaks what of it was heap
 *   in use, heap reserved, and external; peak of Redis beyond what it had before
 * - occupancy: slots in use of those open, mean over the looks while rows ran; means something with --work-ms only
 */
import { execFile } from 'node:child_process';
import { openAsBlob } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { Redis } from 'ioredis';
import { writeBatchFile } from './support/batch-file.ts';
import { MemoryWatch } from './support/memory-watch.ts';
import { circumstances, redisVersion, saveResult } from './support/results.ts';
import { MAIN, Stage } from './support/stage.ts';
import { median } from './support/statistics.ts';

const { values: flags } = parseArgs({
  options: {
    rows: { type: 'string', default: '200000' },
    'row-bytes': { type: 'string', default: '3200' },
    slots: { type: 'string', default: '128' },
    'work-ms': { type: 'string', default: '0' },
    rounds: { type: 'string', default: '1' },
    save: { type: 'string' },
    redis: { type: 'string' },
    profile: { type: 'string' },
    'serve-node': { type: 'string', default: '' },
  },
});
const rows = Number(flags.rows);
const slots = Number(flags.slots);
const BARE_CLIENT = fileURLToPath(new URL('./support/bare-batch-client.ts', import.meta.url));
const POOL = 'bench-model';
const PART_BYTES = 16 * 1024 ** 2;
const LOOK_EVERY_MS = 100;
const WITHIN_MS = 60 * 60_000;
const MB = 1e6;

interface BatchObject {
  readonly id: string;
  readonly status: string;
  readonly output_file_id: string | null;
  readonly request_counts: { readonly total: number; readonly completed: number; readonly failed: number };
}

interface Round {
  readonly bareRowsPerSecond: number;
  readonly uploadMbPerSecond: number;
  readonly validationMbPerSecond: number;
  readonly rowsPerSecond: number;
  readonly ratio: number;
  readonly endToEndRatio: number;
  readonly finaliseSeconds: number;
  readonly occupancyPercent: number;
  readonly serveUsPerRow: number;
}

async function bare(file: string, url: string): Promise<{ readonly rowsPerSecond: number }> {
  const { stdout } = await promisify(execFile)(process.execPath, [BARE_CLIENT, file, url, String(slots)]);
  const report = JSON.parse(stdout) as { readonly rows: number; readonly seconds: number };
  return { rowsPerSecond: report.rows / report.seconds };
}

async function json<T>(answer: Promise<Response>): Promise<T> {
  const response = await answer;
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}: ${text}`);
  return JSON.parse(text) as T;
}

async function upload(api: string, path: string): Promise<{ readonly fileId: string; readonly seconds: number }> {
  const content = await openAsBlob(path);
  const post = <T>(where: string, body: string | FormData) =>
    json<T>(
      fetch(`${api}/v1/uploads${where}`, {
        method: 'POST',
        body,
        ...(typeof body === 'string' && { headers: { 'content-type': 'application/json' } }),
      }),
    );
  const beganMs = performance.now();
  const wish = { filename: 'rows.jsonl', purpose: 'batch', bytes: content.size, mime_type: 'application/jsonl' };
  const { id } = await post<{ id: string }>('', JSON.stringify(wish));
  const parts: string[] = [];
  for (let from = 0; from < content.size; from += PART_BYTES) {
    const body = new FormData();
    body.append('data', content.slice(from, from + PART_BYTES), 'part');
    parts.push((await post<{ id: string }>(`/${id}/parts`, body)).id);
  }
  const done = await post<{ file: { id: string } }>(`/${id}/complete`, JSON.stringify({ part_ids: parts }));
  return { fileId: done.file.id, seconds: (performance.now() - beganMs) / 1_000 };
}

/** When the batch was first seen in each status, and how many slots were in use while its rows ran. */
async function follow(
  stage: Stage,
  id: string,
  memory: MemoryWatch,
): Promise<{ seenMs: Map<string, number>; used: number[] }> {
  const seenMs = new Map<string, number>();
  const used: number[] = [];
  const deadlineMs = performance.now() + WITHIN_MS;
  for (;;) {
    const batch = await json<BatchObject>(fetch(`${stage.apiUrl}/v1/batches/${id}`));
    const { total, completed, failed } = batch.request_counts;
    if (!seenMs.has(batch.status)) {
      seenMs.set(batch.status, performance.now());
      memory.enter(batch.status);
    }
    if (total > 0 && completed + failed === total && !seenMs.has('rows done')) {
      seenMs.set('rows done', performance.now());
    }
    if (batch.status === 'completed') {
      if (completed !== rows) throw new Error(`${completed} of ${rows} rows completed, ${failed} failed`);
      return { seenMs, used };
    }
    if (['failed', 'expired', 'cancelled'].includes(batch.status)) throw new Error(JSON.stringify(batch));
    if (performance.now() > deadlineMs) throw new Error(`the batch is still ${batch.status}`);
    if (batch.status === 'in_progress' && completed > rows * 0.1 && completed < rows * 0.9) {
      const [pool] = (await stage.status()).pools;
      if (pool && pool.slots.open > 0) used.push(pool.slots.used / pool.slots.open);
    }
    await sleep(LOOK_EVERY_MS);
  }
}

async function round(stage: Stage, file: string, bytes: number, memory: MemoryWatch): Promise<Round> {
  const { rowsPerSecond: bareRowsPerSecond } = await bare(file, await stage.modelServer(POOL));
  memory.enter('upload');
  const uploaded = await upload(stage.apiUrl, file);
  const cpuBefore = await stage.serveCpu();
  const createdMs = performance.now();
  const { id } = await json<BatchObject>(
    fetch(`${stage.apiUrl}/v1/batches`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        input_file_id: uploaded.fileId,
        endpoint: '/v1/chat/completions',
        completion_window: '24h',
      }),
    }),
  );
  const { seenMs, used } = await follow(stage, id, memory);
  const at = (name: string): number => seenMs.get(name) ?? seenMs.get('completed') ?? Number.NaN;
  const cpuUs = (await stage.serveCpu()).cpuUs - cpuBefore.cpuUs;
  const rowsPerSecond = (rows * 1_000) / (at('rows done') - at('in_progress'));
  const endToEnd = (rows * 1_000) / (at('completed') - createdMs);
  return {
    bareRowsPerSecond,
    uploadMbPerSecond: bytes / MB / uploaded.seconds,
    validationMbPerSecond: (bytes / MB / (at('in_progress') - createdMs)) * 1_000,
    rowsPerSecond,
    ratio: rowsPerSecond / bareRowsPerSecond,
    endToEndRatio: endToEnd / bareRowsPerSecond,
    finaliseSeconds: (at('completed') - at('rows done')) / 1_000,
    occupancyPercent: used.length === 0 ? Number.NaN : (100 * used.reduce((sum, one) => sum + one, 0)) / used.length,
    serveUsPerRow: cpuUs / rows,
  };
}

async function peakRssMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return (Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) * 1024) / MB;
}

async function redisMb(redis: Redis, field: 'used_memory' | 'used_memory_peak'): Promise<number> {
  const info = await redis.info('memory');
  return Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(info)?.[1]) / MB;
}

async function main(): Promise<void> {
  const stage = await Stage.open({
    main: MAIN,
    pools: [{ name: POOL, slots, minReplicas: 1 }],
    redisUrl: flags.redis,
    nodeFlags: [
      ...flags['serve-node'].split(' ').filter((flag) => flag !== ''),
      ...(flags.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${flags.profile}`]),
    ],
    modelServerFlags: [`--delay-ms=${flags['work-ms']}`],
  });
  const redis = new Redis(stage.redis.url);
  const memory = new MemoryWatch(stage.adminUrl);
  try {
    const about = circumstances(await redisVersion(redis));
    const file = join(stage.folder, 'rows.jsonl');
    const { bytes } = await writeBatchFile(file, rows, Number(flags['row-bytes']), POOL);
    const redisBeforeMb = await redisMb(redis, 'used_memory');
    const rounds: Round[] = [];
    for (let count = 0; count < Number(flags.rounds); count += 1) {
      const one = await round(stage, file, bytes, memory);
      process.stderr.write(`${JSON.stringify(one)}\n`);
      rounds.push(one);
    }
    const of = (name: keyof Round): number => Number(median(rounds.map((one) => one[name])).toFixed(2));
    const names = Object.keys(rounds[0] ?? {}) as (keyof Round)[];
    const summary = {
      fileMb: Math.round(bytes / MB),
      ...Object.fromEntries(names.map((name) => [name, of(name)])),
      peakRssMb: Math.round(await peakRssMb(stage.pid)),
      redisPeakMb: Number(((await redisMb(redis, 'used_memory_peak')) - redisBeforeMb).toFixed(1)),
    };
    console.table(summary);
    const memoryMb = await memory.stop();
    console.table(memoryMb);
    const serveNode = flags['serve-node'] === '' ? '' : ` --serve-node="${flags['serve-node']}"`;
    const command = `npm run bench -- batches --rows ${rows} --slots ${slots} --work-ms ${flags['work-ms']}${serveNode}`;
    const result = { bench: 'batches', command, ...about, summary, memoryMb, rounds };
    if (flags.save !== undefined) console.log(saveResult(flags.save, result));
  } finally {
    await memory.stop().catch(() => undefined);
    redis.disconnect();
    await stage.close();
  }
}

await main();
