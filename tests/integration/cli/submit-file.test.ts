import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { stoppedBy } from '../../../src/cli/exit-codes.ts';
import { run } from '../../unit/cli/support.ts';

/** A server that stores jobs, answers them with what was asked, and can be told to refuse. */
class JobServer {
  readonly jobs = new Map<string, { prompt: string; looks: number }>();
  /** The next submissions get these answers instead. */
  readonly refusals: { status: number; code: string; retryAfter?: string }[] = [];
  onSubmit: (count: number) => void = () => undefined;
  #server: Server | undefined;
  url = '';

  async listen(): Promise<void> {
    this.#server = createServer((req, res) => {
      let text = '';
      req.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      req.on('end', () => {
        const { status, body, headers = {} } = this.#answer(req.method ?? '', req.url ?? '', text);
        res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
      });
    });
    await new Promise<void>((resolve) => this.#server!.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server?.closeAllConnections();
    await new Promise((resolve) => this.#server?.close(resolve));
  }

  #answer(
    method: string,
    path: string,
    text: string,
  ): { status: number; body: unknown; headers?: Record<string, string> } {
    if (method === 'POST') return this.#submit(text);
    const [, id = '', result] = /^\/v1\/jobs\/([^/]+)(\/result)?$/.exec(path) ?? [];
    const job = this.jobs.get(id);
    if (!job) return { status: 404, body: { error: { message: 'No such job.', code: 'job_not_found' } } };
    job.looks += 1;
    if (result) return { status: job.prompt === 'bad' ? 400 : 200, body: { echo: job.prompt } };
    return { status: 200, body: { id, status: job.looks > 1 ? 'completed' : 'running' } };
  }

  #submit(text: string): { status: number; body: unknown; headers?: Record<string, string> } {
    const refusal = this.refusals.shift();
    if (refusal) {
      const error = { message: 'No.', type: 'x', param: null, code: refusal.code };
      const headers = refusal.retryAfter === undefined ? {} : { 'retry-after': refusal.retryAfter };
      return { status: refusal.status, body: { error }, headers };
    }
    const id = `job_${this.jobs.size + 1}`;
    this.jobs.set(id, { prompt: (JSON.parse(text) as { body: { prompt: string } }).body.prompt, looks: 0 });
    this.onSubmit(this.jobs.size);
    return { status: 202, body: { id, status: 'queued' } };
  }
}

let folder: string;
let server: JobServer;
let input: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pilotlight-submit-'));
  input = join(folder, 'in.jsonl');
  server = new JobServer();
  await server.listen();
});

afterEach(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

const write = (...prompts: readonly string[]) =>
  writeFileSync(input, `${prompts.map((prompt) => JSON.stringify({ model: 'm', prompt })).join('\n')}\n`);
const submit = (flags: readonly string[] = [], interruption?: AbortSignal) =>
  run(['submit', input, '--url', server.url, ...flags], {
    fetch: globalThis.fetch,
    ...(interruption && { interruption }),
  });
const records = (file: string) =>
  readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
const byLine = (a: Record<string, unknown>, b: Record<string, unknown>) => Number(a['line']) - Number(b['line']);

test('every line becomes one job, and --wait writes one result a line', async () => {
  write('one', 'two', 'bad');
  const { exitCode, stderr } = await submit(['--wait']);
  expect(stderr).toContain('1 of 3 jobs have no good answer');
  expect(exitCode).toBe(1);
  expect(records(`${input}.results.jsonl`).sort(byLine)).toEqual([
    { line: 1, id: expect.any(String) as string, http_status: 200, response: { echo: 'one' }, error: null },
    { line: 2, id: expect.any(String) as string, http_status: 200, response: { echo: 'two' }, error: null },
    { line: 3, id: expect.any(String) as string, http_status: 400, response: { echo: 'bad' }, error: null },
  ]);
});

test('the same command again submits nothing twice and fetches what is missing', async () => {
  write('one', 'two');
  expect((await submit()).exitCode).toBe(0);
  expect((await submit()).exitCode).toBe(0);
  expect(server.jobs.size).toBe(2);
  expect((await submit(['--wait', '--out', join(folder, 'out.jsonl')])).exitCode).toBe(0);
  expect((await submit(['--wait', '--out', join(folder, 'out.jsonl')])).exitCode).toBe(0);
  expect(server.jobs.size).toBe(2);
  expect(records(join(folder, 'out.jsonl'))).toHaveLength(2);
});

test('Ctrl-C in the middle: what was accepted is kept, and the same command goes on', async () => {
  const prompts = Array.from({ length: 200 }, (_, index) => `prompt ${index}`);
  write(...prompts);
  const controller = new AbortController();
  server.onSubmit = (count) => {
    if (count === 50) controller.abort(stoppedBy('SIGINT'));
  };
  const first = await submit([], controller.signal);
  expect(first.exitCode).toBe(130);
  expect(first.stderr).toContain(`${server.jobs.size} of 200 lines are accepted and stay so`);
  expect(server.jobs.size).toBeLessThan(200);
  expect((await submit()).exitCode).toBe(0);
  expect([...server.jobs.values()].map((job) => job.prompt).sort()).toEqual(prompts.sort());
});

test('the torn last line of a killed run is not trusted', async () => {
  write('one', 'two');
  await submit();
  const journal = `${input}.jobs.jsonl`;
  const text = readFileSync(journal, 'utf8');
  writeFileSync(journal, text.slice(0, -5));
  expect((await submit()).exitCode).toBe(0);
  expect(server.jobs.size).toBe(3);
  expect(records(journal)).toHaveLength(3);
});

test('a journal of another input is not mixed up with this one', async () => {
  write('one');
  await submit();
  write('two');
  const { exitCode, stderr } = await submit();
  expect(stderr).toContain('belongs to another input, address or objective; delete it to submit everything anew');
  expect(exitCode).toBe(2);
});

test('a full queue is waited out; a line that is refused is named, and the others go on', async () => {
  write('one', 'two', 'three');
  server.refusals.push(
    { status: 429, code: 'queue_full', retryAfter: '0' },
    { status: 503, code: 'draining', retryAfter: '0' },
  );
  server.refusals.push({ status: 400, code: 'invalid_value' });
  const { exitCode, stderr } = await submit();
  expect(stderr).toMatch(/refused:\nline \d: No \(invalid_value\)\n2 of 3 lines accepted/);
  expect(exitCode).toBe(1);
  expect(server.jobs.size).toBe(2);
});

test('what every line would meet ends the run at once', async () => {
  write(...Array.from({ length: 500 }, String));
  server.refusals.push(...Array.from({ length: 500 }, () => ({ status: 401, code: 'invalid_api_key' })));
  const { exitCode, stderr } = await submit();
  expect(stderr).toContain('No (invalid_api_key); put the key into PILOTLIGHT_API_KEY');
  expect(exitCode).toBe(1);
  expect(server.refusals.length).toBeGreaterThan(400);
});

test('mistakes in the file are all listed, and nothing is submitted', async () => {
  writeFileSync(input, '{"model": "m"}\n[1]\n\n{oops\n');
  const { exitCode, stderr } = await submit();
  expect(stderr).toBe(
    `pilotlight: nothing was submitted:\n${input}:2: is not a JSON object\n${input}:4: is not valid JSON\n`,
  );
  expect(exitCode).toBe(2);
  expect(server.jobs.size).toBe(0);
});

test('a file that is not *.jsonl is one body, pretty-printed or not', async () => {
  const file = join(folder, 'one.json');
  writeFileSync(file, JSON.stringify({ model: 'm', prompt: 'hello' }, null, 2));
  const result = await run(['submit', file, '--url', server.url, '--wait'], { fetch: globalThis.fetch });
  expect(result.stdout).toBe('{"echo":"hello"}\n');
  expect(result.exitCode).toBe(0);
});
