/** The model servers of a thousand pods: one process that listens on every loopback address and answers chats at once. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PLAIN_ANSWER } from './chat.ts';
import { answerQuestions } from './child.ts';

const METRICS = [
  'vllm:num_requests_running{model_name="bench"} 0',
  'vllm:num_requests_waiting{model_name="bench"} 0',
  'vllm:kv_cache_usage_perc{model_name="bench"} 0.1',
  '',
].join('\n');

const ANSWER = Buffer.from(PLAIN_ANSWER);
const ANSWER_HEAD = { 'content-type': 'application/json', 'content-length': String(ANSWER.length) };

/** Resolves with the port. */
function listen(): Promise<number> {
  const server = createServer((req, res) => {
    if (req.method === 'POST') req.resume().once('end', () => res.writeHead(200, ANSWER_HEAD).end(ANSWER));
    else res.writeHead(200, { 'content-type': 'text/plain' }).end(req.url === '/metrics' ? METRICS : '');
  });
  server.keepAliveTimeout = 60_000;
  return new Promise((resolve) => server.listen(0, '0.0.0.0', () => resolve((server.address() as AddressInfo).port)));
}

answerQuestions(() => listen());
