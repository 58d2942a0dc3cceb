/**
 * Stands in for `pilotlight serve`: takes jobs and chats, answers them at once with the simulator's texts, and does one
 * thing wrong (PILOTLIGHT_TEST_FAULT), so that a test can see whether the demo notices.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ServeMessage } from '../../src/roles/announcer.ts';
import { type ChatBody, expectedText } from '../../src/simulate/demo/requests.ts';

export type Fault = 'none' | 'wrong text' | 'one id twice' | 'failed job' | 'cut chat' | 'busy' | 'no start' | 'dies';

const fault = (process.env['PILOTLIGHT_TEST_FAULT'] ?? 'none') as Fault;
const FAULTY_JOB = 3;
const BUSY_ANSWERS = 5;
const startedAtEpochMs = Date.now();
const jobs = new Map<string, { readonly body: ChatBody; readonly number: number }>();
let posts = 0;
let accepted = 0;
let chats = 0;

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  let text = '';
  for await (const piece of request) text += String(piece);
  return JSON.parse(text) as Record<string, unknown>;
}

function json(response: ServerResponse, status: number, value: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
}

async function acceptJob(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { body } = await bodyOf(request);
  posts += 1;
  if (fault === 'busy' && posts <= BUSY_ANSWERS) {
    json(response, 429, { error: { message: 'full' } }, { 'retry-after': '1', 'retry-after-ms': '20' });
    return;
  }
  const number = accepted;
  accepted += 1;
  const id = `job-${fault === 'one id twice' && number === FAULTY_JOB ? 1 : posts}`;
  jobs.set(id, { body: body as ChatBody, number });
  json(response, 202, { id, status: 'queued' });
  if (fault === 'dies' && number === FAULTY_JOB) process.exit(9);
}

function showJob(path: string, response: ServerResponse): void {
  const [, , , id = '', result] = path.split('/');
  const job = jobs.get(id);
  const isFaulty = job?.number === FAULTY_JOB;
  if (job === undefined) json(response, 404, { error: { message: 'unknown' } });
  else if (result === undefined) {
    const status = fault === 'failed job' && isFaulty ? 'failed' : 'completed';
    json(response, 200, { id, status, error: status === 'failed' ? { message: 'it broke' } : null });
  } else {
    const text = expectedText(job.body);
    const content = fault === 'wrong text' && isFaulty ? `${text.slice(0, -1)}?` : text;
    const choices = [{ message: { role: 'assistant', content } }];
    json(response, 200, { created: Math.floor(Date.now() / 1_000), choices, usage: { total_tokens: 1 } });
  }
}

async function streamChat(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const text = expectedText((await bodyOf(request)) as ChatBody);
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
        objectives: [objective('nightly', accepted), objective('interactive', chats)],
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
  else if (path === '/v1/jobs') await acceptJob(request, response);
  else if (path.startsWith('/v1/jobs/')) showJob(path, response);
  else await streamChat(request, response);
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
