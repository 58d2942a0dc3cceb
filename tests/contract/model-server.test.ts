import { afterEach, describe, expect, test } from 'vitest';
import { UndiciModelServer } from '../../src/dispatcher/adapters/undici-model-server.ts';
import type { ModelServer, UpstreamReceiver, UpstreamRequest } from '../../src/dispatcher/ports.ts';
import { FakeModelServer } from './model-server-fake.ts';
import { scriptedHttpServer } from './model-server-http.ts';
import {
  chatAnswer,
  end,
  garbage,
  hang,
  head,
  json,
  reset,
  type Script,
  send,
  sseHead,
} from './model-server-script.ts';

interface Opened {
  readonly server: ModelServer;
  readonly url: string;
}

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

const adapters: Record<string, (...scripts: readonly Script[]) => Promise<Opened>> = {
  async undici(...scripts) {
    const remote = await scriptedHttpServer(...scripts);
    const server = new UndiciModelServer({ connectTimeoutMs: 500 });
    cleanups.push(
      () => server.close(),
      () => remote.close(),
    );
    return { server, url: remote.url };
  },
  fake(...scripts) {
    return Promise.resolve({ server: new FakeModelServer({ 'http://fake': scripts }), url: 'http://fake' });
  },
};

const request = (endpointUrl: string): UpstreamRequest => ({
  endpointUrl,
  path: '/v1/chat/completions',
  stream: false,
  body: new TextEncoder().encode('{"model":"tiny"}'),
  headers: { 'x-request-id': 'r1' },
});

/** Writes down what a receiver hears: "head 200", "data …" (neighbouring chunks joined), "end" or "failure …". */
function recorder(): { heard: string[]; receiver: UpstreamReceiver; over: Promise<void> } {
  const heard: string[] = [];
  let finish: () => void = () => undefined;
  const over = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const receiver: UpstreamReceiver = {
    onHead: (status, headers) => {
      heard.push(`head ${status} ${headers['content-type'] ?? 'none'}`);
    },
    onData: (chunk) => {
      const text = Buffer.from(chunk).toString();
      if (heard.at(-1)?.startsWith('data ')) heard.push(`${heard.pop() ?? ''}${text}`);
      else heard.push(`data ${text}`);
    },
    onEnd: () => {
      heard.push('end');
      finish();
    },
    onFailure: ({ kind }) => {
      heard.push(`failure ${kind}`);
      finish();
    },
  };
  return { heard, receiver, over };
}

const rows: readonly { name: string; script: Script; heard: readonly string[] }[] = [
  {
    name: 'a plain answer arrives whole',
    script: [head(200), json(chatAnswer()), end],
    heard: ['head 200 application/json', `data ${JSON.stringify(chatAnswer())}`, 'end'],
  },
  { name: 'nobody listens', script: 'refuse', heard: ['failure unreachable'] },
  { name: 'the connection breaks before the head', script: [reset], heard: ['failure reset'] },
  {
    name: 'the connection breaks after the first bytes',
    script: [sseHead, send('data: 1\n\n'), reset],
    heard: ['head 200 text/event-stream; charset=utf-8', 'data data: 1\n\n', 'failure reset'],
  },
  {
    name: 'what comes is not HTTP',
    script: [head(200), garbage],
    heard: ['head 200 application/json', 'failure protocol'],
  },
  {
    name: 'an error status is a head like any other',
    script: [head(503), send('busy'), end],
    heard: ['head 503 application/json', 'data busy', 'end'],
  },
  {
    name: 'a redirect is not followed',
    script: [{ do: 'head', status: 307, headers: { location: 'http://127.0.0.1:1/' } }, end],
    heard: ['head 307 none', 'end'],
  },
];

describe.each(Object.entries(adapters))('ModelServer/%s', (_name, open) => {
  test.each(rows)('$name', async ({ script, heard }) => {
    const { server, url } = await open(script);
    const record = recorder();
    server.open(request(url), record.receiver);
    await record.over;
    expect(record.heard).toEqual(heard);
  });

  test('after an abort the receiver hears nothing more', async () => {
    const { server, url } = await open([head(200), hang], [head(200), json(chatAnswer()), end]);
    const stopped = recorder();
    const call = server.open(request(url), stopped.receiver);
    await expect.poll(() => stopped.heard).toEqual(['head 200 application/json']);
    call.abort();
    call.abort();
    const next = recorder();
    server.open(request(url), next.receiver);
    await next.over;
    expect(next.heard.at(-1)).toBe('end');
    expect(stopped.heard).toEqual(['head 200 application/json']);
  });

  test('an abort before anything came is silent too', async () => {
    const { server, url } = await open([head(200), json(chatAnswer()), end]);
    const stopped = recorder();
    server.open(request(url), stopped.receiver).abort();
    const next = recorder();
    server.open(request(url), next.receiver);
    await next.over;
    expect(stopped.heard).toEqual([]);
  });

  test('a paused call brings nothing until it is resumed', async () => {
    const { server, url } = await open([head(200), send('one'), send('two'), end]);
    const record = recorder();
    const { receiver, heard } = record;
    let paused = false;
    const call = server.open(request(url), {
      ...receiver,
      onData: (chunk) => {
        receiver.onData(chunk);
        if (!paused) call.pause();
        paused = true;
      },
    });
    await expect.poll(() => heard.length).toBe(2);
    const whilePaused = heard.join();
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(heard.join()).toBe(whilePaused);
    call.resume();
    await record.over;
    expect(heard).toEqual(['head 200 application/json', 'data onetwo', 'end']);
  });
});

test('after its close a model server refuses calls instead of opening connections', async () => {
  const remote = await scriptedHttpServer([head(200), json(chatAnswer()), end]);
  cleanups.push(() => remote.close());
  const server = new UndiciModelServer();
  await server.close();
  const record = recorder();
  server.open(request(remote.url), record.receiver);
  await record.over;
  expect(record.heard).toEqual(['failure unreachable']);
  expect(await server.probe(remote.url, 100)).toBe(false);
});

test('a probe wants an answer below 500, in time', async () => {
  const server = new UndiciModelServer();
  cleanups.push(() => server.close());
  const probes: boolean[] = [];
  for (const script of [[head(200), end], [head(404), end], [head(503), end], [hang], 'refuse'] satisfies Script[]) {
    const remote = await scriptedHttpServer(script);
    cleanups.push(() => remote.close());
    probes.push(await server.probe(remote.url, 100));
  }
  expect(probes).toEqual([true, true, false, false, false]);
});
