/**
 * Stands in for `pilotlight serve`: takes the file, the batch and the chats, answers them at once with the simulator's texts,
 * and does one thing wrong (PILOTLIGHT_TEST_FAULT), so that a test can see whether the demo notices.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ServeMessage } from '../../src/roles/announcer.ts';
import { type ChatBody, expectedText } from '../../src/simulate/demo/requests.ts';

export type Fault =
  | 'none'
  | 'wrong text'
  | 'row twice'
  | 'row missing'
  | 'wrong order'
  | 'failed row'
  | 'invalid file'
  | 'two batches'
  | 'cut chat'
  | 'busy'
  | 'no start'
  | 'dies';

const fault = (process.env['PILOTLIGHT_TEST_FAULT'] ?? 'none') as Fault;
const FAULTY_ROW = 3;
const BUSY_ANSWERS = 5;
const startedAtEpochMs = Date.now();
let rows: { readonly custom_id: string; readonly body: ChatBody }[] = [];
let hasBatch = false;
let posts = 0;
let chats = 0;

async function textOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const piece of request) text += String(piece);
  return text;
}

function json(response: ServerResponse, status: number, value: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
}

async function takeFile(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const text = await textOf(request);
  posts += 1;
  if (fault === 'busy' && posts <= BUSY_ANSWERS) {
    json(response, 429, { error: { message: 'full' } }, { 'retry-after': '1', 'retry-after-ms': '20' });
    return;
  }
  const lines = text.split('\n').filter((line) => line.startsWith('{'));
  rows = lines.map((line) => JSON.parse(line) as (typeof rows)[number]);
  json(response, 200, { id: 'file-in', object: 'file' });
}

async function takeBatch(request: IncomingMessage, response: ServerResponse): Promise<void> {
  await textOf(request);
  hasBatch = true;
  json(response, 200, batchObject());
  if (fault === 'dies') setTimeout(() => process.exit(9), 20);
}

function batchObject(): unknown {
  const isInvalid = fault === 'invalid file';
  const failed = fault === 'failed row' ? 1 : 0;
  const total = isInvalid ? 0 : rows.length;
  return {
    id: 'batch_1',
    status: isInvalid ? 'failed' : fault === 'dies' ? 'in_progress' : 'completed',
    output_file_id: isInvalid ? null : 'file-out',
    error_file_id: failed === 0 ? null : 'file-err',
    errors: isInvalid ? { data: [{ code: 'invalid_json_line', message: 'line 4 is no JSON', line: 4 }] } : null,
    request_counts: { total, completed: Math.max(0, total - failed), failed },
    pilotlight: { rows_running: 0, rows_per_second: null, eta_seconds: null, holding_message: null },
  };
}

function outputLine({ custom_id, body }: (typeof rows)[number], index: number): string {
  const text = expectedText(body);
  const content = fault === 'wrong text' && index === FAULTY_ROW ? `${text.slice(0, -1)}?` : text;
  const answer = { created: Math.floor(Date.now() / 1_000), choices: [{ message: { role: 'assistant', content } }] };
  return JSON.stringify({ custom_id, response: { status_code: 200, body: answer }, error: null });
}

function outputLines(): readonly string[] {
  const lines = rows.map(outputLine);
  const faulty = lines[FAULTY_ROW] ?? '';
  if (fault === 'row twice') return lines.toSpliced(FAULTY_ROW, 0, faulty);
  if (fault === 'row missing' || fault === 'failed row') return lines.toSpliced(FAULTY_ROW, 1);
  return fault === 'wrong order' ? [...lines.toSpliced(FAULTY_ROW, 1), faulty] : lines;
}

function sendLines(response: ServerResponse, lines: readonly string[]): void {
  response.writeHead(200, { 'content-type': 'application/jsonl' }).end(lines.map((line) => `${line}\n`).join(''));
}

function errorLine(): string {
  const { custom_id } = rows[FAULTY_ROW] ?? {};
  return JSON.stringify({
    custom_id,
    response: { status_code: 400, body: { error: { message: 'it broke' } } },
    error: null,
  });
}

async function streamChat(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const text = expectedText(JSON.parse(await textOf(request)) as ChatBody);
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write(': pilotlight phase=waking position=0 eta=1s\n\n');
  const event = (content: string, finish_reason: string | null) =>
    response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason }] })}\n\n`);
  event(text.slice(0, 5), null);
  if (fault === 'cut chat') {
    setTimeout(() => response.destroy(), 50);
    return;
  }
  event(text.slice(5), 'length');
  chats += 1;
  response.end('data: [DONE]\n\n');
}

function completedRows(): number {
  return hasBatch && fault !== 'invalid file' ? outputLines().length : 0;
}

function status(): unknown {
  const objective = (name: string, completed: number) => ({
    objective: name,
    stored: 0,
    outcomes: { completed, failed: 0, cancelled: 0, expired: 0, rejected: 0 },
  });
  return {
    startedAtEpochMs,
    redis: { reachable: true },
    pools: [
      {
        pool: 'default/tickets',
        desiredReplicas: 0,
        replicas: [],
        replicasByPhase: {},
        slots: { open: 0, used: 0 },
        objectives: [objective('nightly', completedRows()), objective('interactive', chats)],
        usage: {
          loadingGpuSeconds: 0,
          idleGpuSeconds: 0,
          busyGpuSeconds: 0,
          alwaysOnGpuSeconds: 0,
          costUsd: 0,
          alwaysOnCostUsd: 0,
        },
      },
    ],
  };
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = request.url ?? '';
  if (path === '/status') json(response, 200, status());
  else if (path === '/v1/files') await takeFile(request, response);
  else if (path === '/v1/files/file-out/content') sendLines(response, outputLines());
  else if (path === '/v1/files/file-err/content') sendLines(response, [errorLine()]);
  else if (path === '/v1/batches') await takeBatch(request, response);
  else if (path.startsWith('/v1/batches?')) json(response, 200, { data: batches() });
  else if (path.startsWith('/v1/batches/') && hasBatch) json(response, 200, batchObject());
  else if (path === '/v1/chat/completions') await streamChat(request, response);
  else json(response, 404, { error: { message: 'unknown' } });
}

function batches(): readonly unknown[] {
  const made = hasBatch ? [batchObject()] : [];
  return fault === 'two batches' ? [...made, ...made] : made;
}

function flag(name: string): number {
  const at = process.argv.indexOf(name);
  return at < 0 ? 0 : Number(process.argv[at + 1]);
}

function listen(port: number): Promise<string> {
  const server: Server = createServer((request, response) => void answer(request, response));
  return new Promise((resolve) => {
    server.listen(port, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
  });
}

function tell(message: ServeMessage): void {
  process.send?.(message);
}

if (fault === 'no start') {
  tell({ type: 'failed', message: 'the data folder is read-only' });
  process.exitCode = 1;
  process.disconnect();
} else {
  process.on('SIGTERM', () => process.exit(0));
  const [apiUrl, adminUrl] = [await listen(flag('--port')), await listen(flag('--admin-port'))];
  tell({ type: 'ready', apiUrl, adminUrl, redisSource: 'none, this is a fake', pid: process.pid });
}
