import { execFile } from 'node:child_process';
import { appendFile, mkdir, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { batchFiles, batchRows, problemsOf, rowsFile, sdk } from '../support/batch-rows.ts';
import { batchOf, batchWhen, callerOf, endedBatch, isRunning, sendFile, submitted } from '../support/batch-tenants.ts';
import { poolYaml } from '../support/pool-yaml.ts';
import { prepareServe, type ServeProcess } from '../support/serve-process.ts';
import { until } from '../support/until.ts';

/** A data folder without room, against the running program. Needs the right to mount a small filesystem. */

const run = promisify(execFile);
const KIB = 1_024;

/** A data folder of so much room, of its own; null when this user may not mount. */
class SmallDisk {
  readonly #folder: string;
  readonly #filler: string;

  constructor(folder: string) {
    this.#folder = folder;
    this.#filler = join(folder, 'filler');
  }

  static async mount(serve: ServeProcess, size: string): Promise<SmallDisk | null> {
    const folder = join(serve.folder, 'data');
    await mkdir(folder);
    const mounted = await run('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder]).catch(() => null);
    if (mounted === null) return null;
    onTestFinished(async () => {
      await serve.stop();
      await run('umount', [folder]);
    });
    return new SmallDisk(folder);
  }

  /** Nothing but so many bytes is left. */
  async fill(leftBytes: number): Promise<void> {
    await writeFile(this.#filler, '');
    const { bavail, bsize } = await statfs(this.#folder);
    const bytes = Math.max(0, bavail * bsize - leftBytes);
    await appendFile(this.#filler, Buffer.alloc(bytes)).catch(() => undefined);
  }

  async clear(): Promise<void> {
    await rm(this.#filler, { force: true });
  }
}

test('full while a file is sent, while rows run and while files are assembled: told, nothing lost, goes on with room', async ({
  skip,
}) => {
  const settings = { batches: { freeBytes: '1Mi' } };
  const serve = await prepareServe(poolYaml({ sim: ['--speed=8'], settings }));
  const disk = await SmallDisk.mount(serve, '48m');
  if (disk === null) return skip('this user may not mount a filesystem');
  await serve.start();
  const call = callerOf(() => serve.apiUrl, 'none');
  const client = sdk(serve.apiUrl);
  const full = { status: 507, noRetry: true, body: { error: { code: 'store_full', type: 'server_error' } } };

  await disk.fill(4_096 * KIB);
  expect(await sendFile(call, `${'x'.repeat(8_192 * KIB)}\n`)).toMatchObject(full);
  await disk.fill(512 * KIB);
  expect(await sendFile(call, 'x\n')).toMatchObject(full);
  expect((await call('GET', '/files')).body).toMatchObject({ data: [] });
  await disk.clear();

  const rows = batchRows(400, { max_tokens: 100 });
  const first = await submitted(call, rowsFile(rows));
  await batchWhen(call, first.id, 'it runs', isRunning(20));
  await disk.fill(0);
  await until(async () => (await serve.log()).includes('The store takes no records'), 'a record found no room');
  expect(await call('POST', '/batches', { json: batchOf(first.input_file_id) })).toMatchObject(full);
  expect((await call('GET', `/batches/${first.id}`)).body).toMatchObject({ status: 'in_progress' });
  await disk.clear();
  const ended = await endedBatch(call, first.id);
  expect(problemsOf(rows, await batchFiles(client, ended))).toEqual([]);

  const { bytes } = (await call('GET', `/files/${ended.output_file_id}`)).body as { bytes: number };
  const second = await submitted(call, rowsFile(rows));
  await batchWhen(call, second.id, 'it runs', isRunning(1));
  // Enough for its records, too little for its output.
  await disk.fill(1.6 * bytes);
  await batchWhen(call, second.id, 'its files find no room', ({ status }) => status === 'finalizing');
  const isTold = async () =>
    (await serve.log()).includes('"status":"finalizing","problem":"The data folder takes nothing more');
  await until(isTold, 'its files find no room');
  expect((await call('GET', `/batches/${second.id}`)).body).toMatchObject({ status: 'finalizing' });
  await disk.clear();
  expect(problemsOf(rows, await batchFiles(client, await endedBatch(call, second.id)))).toEqual([]);
});
