/** The model servers of a thousand pods: one process that listens on every loopback address, and does no work. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { answerQuestions } from './child.ts';

const METRICS = [
  'vllm:num_requests_running{model_name="bench"} 0',
  'vllm:num_requests_waiting{model_name="bench"} 0',
  'vllm:kv_cache_usage_perc{model_name="bench"} 0.1',
  '',
].join('\n');

/** Resolves with the port. */
function listen(): Promise<number> {
  const server = createServer((req, res) => {
    res.writeHead(200, { 'content-type': 'text/plain' }).end(req.url === '/metrics' ? METRICS : '');
  });
  server.keepAliveTimeout = 60_000;
  return new Promise((resolve) => server.listen(0, '0.0.0.0', () => resolve((server.address() as AddressInfo).port)));
}

answerQuestions(() => listen());
