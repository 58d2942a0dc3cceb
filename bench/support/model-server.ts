/**
 * A model server that does no work: every chat is answered at once with the same bytes. Pilotlight starts it as a
 * replica of a pool; the benches find it by the file that it writes when it listens.
 *
 * Arguments: --port=N --announce=FILE --events=N
 */
import { writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { parseArgs } from 'node:util';
import { PLAIN_ANSWER, streamEvents } from './chat.ts';
import { ownCpu } from './child.ts';

/** What stands in the announced file. */
export interface Announced {
  readonly url: string;
  readonly pid: number;
  /** Of the process, and of the moment when it could answer: wall clock, milliseconds with fraction. */
  readonly startedAtEpochMs: number;
  readonly readyAtEpochMs: number;
}

const { values: flags } = parseArgs({
  options: { port: { type: 'string' }, announce: { type: 'string' }, events: { type: 'string', default: '50' } },
});
const port = Number(flags.port);
const PLAIN = Buffer.from(PLAIN_ANSWER);
const PLAIN_HEAD = { 'content-type': 'application/json', 'content-length': String(PLAIN.length) };
const STREAM_HEAD = { 'content-type': 'text/event-stream; charset=utf-8' };
const EVENTS = streamEvents(Number(flags.events)).map((event) => Buffer.from(event));
const IS_STREAM = /"stream":\s*true/;
let running = 0;

/** One event for each turn of the event loop, as a decoding engine sends them. */
function stream(res: ServerResponse, index: number): void {
  const event = EVENTS[index];
  if (event === undefined) {
    res.end();
    return;
  }
  res.write(event);
  setImmediate(stream, res, index + 1);
}

function answer(body: string, res: ServerResponse): void {
  if (IS_STREAM.test(body)) {
    res.writeHead(200, STREAM_HEAD);
    stream(res, 0);
  } else {
    res.writeHead(200, PLAIN_HEAD);
    res.end(PLAIN);
  }
}

function chat(req: IncomingMessage, res: ServerResponse): void {
  running += 1;
  res.once('close', () => {
    running -= 1;
  });
  let body = '';
  req.setEncoding('latin1');
  req.on('data', (part: string) => {
    body += part;
  });
  req.on('end', () => answer(body, res));
}

const METRICS = (): string =>
  [
    `vllm:num_requests_running{model_name="bench"} ${running}`,
    'vllm:num_requests_waiting{model_name="bench"} 0',
    'vllm:kv_cache_usage_perc{model_name="bench"} 0.1',
    '',
  ].join('\n');

const PAGES: Readonly<Record<string, () => string>> = {
  '/health': () => '',
  '/metrics': METRICS,
  '/cpu': () => JSON.stringify(ownCpu()),
};

const server = createServer((req, res) => {
  if (req.method === 'POST') chat(req, res);
  else res.writeHead(200, { 'content-type': 'text/plain' }).end(PAGES[req.url ?? '']?.() ?? '');
});
server.keepAliveTimeout = 60_000;
server.listen(port, '127.0.0.1', () => {
  const announced: Announced = {
    url: `http://127.0.0.1:${port}`,
    pid: process.pid,
    startedAtEpochMs: performance.timeOrigin,
    readyAtEpochMs: performance.timeOrigin + performance.now(),
  };
  if (flags.announce !== undefined) writeFileSync(flags.announce, JSON.stringify(announced));
});
process.once('SIGTERM', () => process.exit(0));
