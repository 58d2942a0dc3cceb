import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { HttpMetricsSource } from '../../src/picker/adapters/http-metrics-source.ts';
import { loadXxhash32 } from '../../src/picker/adapters/xxhash.ts';

let server: Server;
let url: string;
let answer: (response: ServerResponse) => void;
let source: HttpMetricsSource;

beforeEach(async () => {
  server = createServer((_request, response) => answer(response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  source = new HttpMetricsSource({ timeoutMs: 200, maxBytes: 1_000 });
});

afterEach(async () => {
  await source.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const scrape = (signal = new AbortController().signal): Promise<string> => source.scrape(url, signal);

describe('scraping a model server', () => {
  test('gives the text, over one connection', async () => {
    answer = (response) => response.end('vllm:num_requests_running 2\n');
    expect(await scrape()).toContain('running 2');
    expect(await scrape()).toContain('running 2');
    const connections = await new Promise<number>((resolve) =>
      server.getConnections((_error, count) => resolve(count)),
    );
    expect(connections).toBe(1);
  });

  test.each<{ name: string; give: (response: ServerResponse) => void; problem: RegExp }>([
    { name: 'an error status', give: (response) => response.writeHead(500).end('no'), problem: /status 500/u },
    {
      name: 'more text than allowed',
      give: (response) => response.end('x'.repeat(2_000)),
      problem: /larger than 1000/u,
    },
    { name: 'no answer in time', give: () => undefined, problem: /timeout|aborted/iu },
    { name: 'half an answer', give: (response) => response.write('vllm:'), problem: /timeout|aborted/iu },
    { name: 'a broken connection', give: (response) => response.destroy(), problem: /closed|socket/iu },
  ])('$name is a failure, and the next scrape works', async ({ give, problem }) => {
    answer = give;
    await expect(scrape()).rejects.toThrow(problem);
    answer = (response) => response.end('fine');
    expect(await scrape()).toBe('fine');
  });

  test('it stops at once when it is told to', async () => {
    answer = () => undefined;
    const stop = new AbortController();
    const scraping = scrape(stop.signal);
    stop.abort(new Error('the endpoint is gone'));
    await expect(scraping).rejects.toThrow('gone');
  });
});

test('the hash is xxHash32, and its seed chains', async () => {
  const hash = await loadXxhash32();
  // Reference values of xxHash32 with seed 0: the empty text and "a".
  expect(hash('', 0)).toBe(0x02cc5d05);
  expect(hash('a', 0)).toBe(0x550d7456);
  expect(hash('a', 1)).not.toBe(hash('a', 0));
});
