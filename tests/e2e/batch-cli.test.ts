import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { batchRows, rowsFile, sdk } from '../support/batch-rows.ts';
import { poolYaml } from '../support/pool-yaml.ts';
import { prepareServe, type ServeProcess } from '../support/serve-process.ts';
import { until } from '../support/until.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const WITHIN_MS = 120_000;

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function pilotlight(serve: ServeProcess, ...args: readonly string[]): Promise<Ended> {
  const env = { ...process.env, PILOTLIGHT_URL: serve.apiUrl };
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], { env, timeout: WITHIN_MS }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr });
    });
  });
}

const idsIn = (text: string): readonly string[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => (JSON.parse(line) as { custom_id: string }).custom_id);

test('submit, Ctrl-C, the same command again: one upload, one batch, all results in a file', async () => {
  const serve = await prepareServe(poolYaml({ sim: ['--speed=4'], slots: 4, maxReplicas: 1 }));
  await serve.start();
  const rows = batchRows(200);
  const input = join(serve.folder, 'tickets.jsonl');
  await writeFile(input, rowsFile(rows));
  const submit = ['batch', 'submit', input, '--objective', 'nightly', '--by', '8h', '--wait'];

  const first = spawn(process.execPath, [MAIN, ...submit], {
    env: { ...process.env, PILOTLIGHT_URL: serve.apiUrl },
    stdio: 'ignore',
  });
  const ended = once(first, 'exit') as Promise<[number]>;
  const client = sdk(serve.apiUrl);
  const someDone = async () => ((await client.batches.list()).data[0]?.request_counts?.completed ?? 0) >= 20;
  await until(someDone, 'some rows are done', WITHIN_MS);
  first.kill('SIGINT');
  expect((await ended)[0]).toBe(130);

  const id = (await client.batches.list()).data[0]?.id ?? '';
  const partial = await pilotlight(serve, 'batch', 'results', id, '--partial');
  expect(idsIn(partial.stdout).length).toBeGreaterThan(0);
  const early = await pilotlight(serve, 'batch', 'results', id);
  expect({ code: early.code, says: early.stderr }).toEqual({
    code: 1,
    says: expect.stringContaining('--wait') as string,
  });

  const second = await pilotlight(serve, ...submit);
  expect(second.stderr).toContain('200 of 200 rows completed');
  expect(second.code).toBe(0);
  expect(idsIn(await readFile(`${input}.results.jsonl`, 'utf8'))).toEqual(rows.map(({ customId }) => customId));
  expect((await client.batches.list()).data).toHaveLength(1);
  expect((await pilotlight(serve, 'batch', 'list')).stdout).toMatch(/completed +200\/200/);
  expect((await pilotlight(serve, 'batch', 'watch', id)).stdout).toBe('completed\n');
});

test('a large file goes in parts, a wrong one comes back with its lines, and a dry run stores nothing', async () => {
  const serve = await prepareServe(poolYaml());
  await serve.start();
  const client = sdk(serve.apiUrl);
  const filler = 'x'.repeat(2_000_000);
  const large = batchRows(10, { messages: [{ role: 'user', content: filler }] });
  const input = join(serve.folder, 'large.jsonl');
  await writeFile(input, rowsFile(large));
  const uploaded = await pilotlight(serve, 'files', 'upload', input);
  expect(uploaded.stderr).toContain('in 2 parts');
  const file = await client.files.retrieve(uploaded.stdout.trim());
  expect(file).toMatchObject({ bytes: rowsFile(large).length, filename: 'large.jsonl', status: 'processed' });
  await pilotlight(serve, 'files', 'download', file.id, '--out', `${input}.back`);
  expect(await readFile(`${input}.back`, 'utf8')).toBe(rowsFile(large));
  expect((await pilotlight(serve, 'files', 'delete', file.id)).code).toBe(0);

  const wrong = join(serve.folder, 'wrong.jsonl');
  await writeFile(wrong, rowsFile([...batchRows(3), ...batchRows(1)]));
  const dry = await pilotlight(serve, 'batch', 'submit', wrong, '--dry-run');
  expect({ code: dry.code, report: JSON.parse(dry.stdout) as unknown }).toMatchObject({
    code: 1,
    report: { valid: false, errors: { data: [{ code: 'duplicate_custom_id', line: 4 }] } },
  });
  expect((await client.files.list()).data).toEqual([]);
  const real = await pilotlight(serve, 'batch', 'submit', wrong, '--wait');
  expect(real.code).toBe(1);
  expect(real.stderr).toMatch(/line 4: .*duplicate_custom_id/);
});
