import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { KubeApiError } from '../../../../src/core/kubernetes.ts';
import type { Logger } from '../../../../src/core/logger.ts';
import { systemClock } from '../../../../src/platform/clock.ts';
import { type KubeConnection, openKubeApi } from '../../../../src/platform/kubernetes/api.ts';
import { silentLogger } from '../../../support/silent-logger.ts';

type Handler = (request: IncomingMessage, body: string, answer: ServerResponse) => void;

let folder: string;
let handler: Handler;
const started: { close: () => unknown }[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pilotlight-kube-'));
});

afterEach(async () => {
  for (const one of started.splice(0).reverse()) await one.close();
  await rm(folder, { recursive: true, force: true });
});

async function startServer(first: Handler): Promise<string> {
  handler = first;
  const server = createServer((request, answer) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => handler(request, Buffer.concat(chunks).toString(), answer));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  started.push({
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function connect(server: string, user: Record<string, unknown>, extra = {}): Promise<KubeConnection> {
  const kubeconfig = join(folder, 'config');
  const config = {
    clusters: [{ name: 'c', cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u', namespace: 'chat' } }],
    'current-context': 'x',
  };
  await writeFile(kubeconfig, JSON.stringify(config));
  const options = { kubeconfig, context: null, namespace: null, clock: systemClock, log: silentLogger, ...extra };
  const api = await openKubeApi(options);
  started.push(api);
  return api;
}

function answerJson(answer: ServerResponse, status: number, body: unknown, headers = {}): void {
  answer.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

async function failure(work: Promise<unknown>): Promise<KubeApiError> {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(KubeApiError);
  return error as KubeApiError;
}

test('a request carries token, path, query and a patch of its type, and gives back JSON', async () => {
  const seen: unknown[] = [];
  const server = await startServer((request, body, answer) => {
    seen.push([request.method, request.url, request.headers.authorization, request.headers['content-type'], body]);
    answerJson(answer, 200, { spec: { replicas: 2 } });
  });
  const api = await connect(server, { token: 'first' });
  const answer = await api.request({
    method: 'PATCH',
    path: '/apis/apps/v1/namespaces/chat/deployments/chat/scale',
    query: { fieldManager: 'pilotlight' },
    patch: 'merge',
    body: { spec: { replicas: 2 } },
  });
  expect(answer).toEqual({ spec: { replicas: 2 } });
  expect(seen).toEqual([
    [
      'PATCH',
      '/apis/apps/v1/namespaces/chat/deployments/chat/scale?fieldManager=pilotlight',
      'Bearer first',
      'application/merge-patch+json',
      '{"spec":{"replicas":2}}',
    ],
  ]);
  expect(api.namespace).toBe('chat');
});

test('a server behind a path keeps its path', async () => {
  const server = await startServer((request, _body, answer) => answerJson(answer, 200, { url: request.url }));
  const api = await connect(`${server}/k8s/clusters/one/`, { token: 't' });
  expect(await api.request({ method: 'GET', path: '/version' })).toEqual({ url: '/k8s/clusters/one/version' });
});

test('a refused token is read again once, and a second refusal is told', async () => {
  const tokenFile = join(folder, 'token');
  await writeFile(tokenFile, 'old');
  const tokens: unknown[] = [];
  const server = await startServer((request, _body, answer) => {
    tokens.push(request.headers.authorization);
    const isGood = request.headers.authorization === 'Bearer new';
    answerJson(
      answer,
      isGood ? 200 : 401,
      isGood ? {} : { kind: 'Status', reason: 'Unauthorized', message: 'Unauthorized' },
    );
  });
  const api = await connect(server, { tokenFile: 'token' });
  const refused = await failure(api.request({ method: 'GET', path: '/version' }));
  expect(refused).toMatchObject({ status: 401, reason: 'Unauthorized' });
  expect(tokens).toEqual(['Bearer old', 'Bearer old']);
  await writeFile(tokenFile, 'new\n');
  await api.request({ method: 'GET', path: '/version' });
  await api.request({ method: 'GET', path: '/version' });
  expect(tokens.slice(2)).toEqual(['Bearer old', 'Bearer new', 'Bearer new']);
});

test("the pod's ServiceAccount is used without a kubeconfig, and its namespace", async () => {
  const { openServiceAccount } = await import('../../../../src/platform/kubernetes/find-credentials.ts');
  await writeFile(join(folder, 'token'), 'pod-token\n');
  await writeFile(join(folder, 'namespace'), 'inference');
  await writeFile(join(folder, 'ca.crt'), 'PEM');
  let nowMs = 0;
  const credentials = await openServiceAccount(folder, 'https://10.0.0.1:443', () => nowMs);
  expect(credentials.namespace).toBe('inference');
  const access = await credentials.current();
  expect(access).toEqual({ headers: { authorization: 'Bearer pod-token' }, tls: { ca: 'PEM' }, proxyUrl: null });
  await writeFile(join(folder, 'token'), 'rotated');
  expect((await credentials.current()).headers.authorization).toBe('Bearer pod-token');
  nowMs = 61_000;
  expect((await credentials.current()).headers.authorization).toBe('Bearer rotated');
});

test('a ServiceAccount comes before KUBECONFIG, and a configured context before a ServiceAccount', async () => {
  const { findCredentials } = await import('../../../../src/platform/kubernetes/find-credentials.ts');
  await writeFile(join(folder, 'token'), 'pod-token');
  const config = {
    clusters: [{ name: 'c', cluster: { server: 'https://elsewhere:6443' } }],
    users: [{ name: 'u', user: { token: 't' } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': '',
  };
  await writeFile(join(folder, 'config'), JSON.stringify(config));
  const env = {
    KUBERNETES_SERVICE_HOST: 'fd00::1',
    KUBERNETES_SERVICE_PORT: '443',
    KUBECONFIG: join(folder, 'config'),
  };
  const options = { kubeconfig: null, serviceAccountFolder: folder, env, monotonicMs: () => 0 };
  expect((await findCredentials({ ...options, context: null })).server).toBe('https://[fd00::1]:443');
  expect((await findCredentials({ ...options, context: 'x' })).server).toBe('https://elsewhere:6443');
  await expect(findCredentials({ ...options, context: 'y' })).rejects.toThrow('no context "y"; it has: x');
});

test('with nothing to connect by, the error says where it looked and what to set', async () => {
  const options = { kubeconfig: null, context: null, namespace: null, clock: systemClock, log: silentLogger };
  await expect(openKubeApi({ ...options, env: {}, homeFolder: folder, serviceAccountFolder: folder })).rejects.toThrow(
    `no kubeconfig at ${join(folder, '.kube', 'config')}; set kubernetes.kubeconfig`,
  );
});

test.each([
  {
    name: 'a Status keeps its reason and its time to wait',
    status: 429,
    body: { kind: 'Status', reason: 'TooManyRequests', message: 'slow down', details: { retryAfterSeconds: 3 } },
    headers: {},
    want: { status: 429, reason: 'TooManyRequests', retryAfterMs: 3_000, message: 'GET /version: slow down' },
  },
  {
    name: 'the Retry-After header goes first',
    status: 503,
    body: { kind: 'Status', reason: 'ServiceUnavailable', message: 'starting', details: { retryAfterSeconds: 3 } },
    headers: { 'retry-after': '1' },
    want: { status: 503, reason: 'ServiceUnavailable', retryAfterMs: 1_000 },
  },
  {
    name: 'an answer of something else still says its status',
    status: 502,
    body: { some: 'gateway' },
    headers: {},
    want: { status: 502, reason: '', retryAfterMs: null, message: 'GET /version: HTTP 502' },
  },
])('$name', async ({ status, body, headers, want }) => {
  const server = await startServer((_request, _body, answer) => answerJson(answer, status, body, headers));
  const api = await connect(server, { token: 't' });
  expect(await failure(api.request({ method: 'GET', path: '/version' }))).toMatchObject(want);
});

test('a server that says nothing costs the time limit, and its error has status 0', async () => {
  const server = await startServer(() => undefined);
  const api = await connect(server, { token: 't' });
  const error = await failure(api.request({ method: 'GET', path: '/version', timeoutMs: 30 }));
  expect(error.status).toBe(0);
  expect(error.message).toContain('no answer within 30 ms');
});

test('a server that stops in the middle of an answer costs the time limit too', async () => {
  const server = await startServer((_request, _body, answer) => {
    answer.writeHead(200, { 'content-type': 'application/json' }).write('{"half":');
  });
  const api = await connect(server, { token: 't' });
  const error = await failure(api.request({ method: 'GET', path: '/version', timeoutMs: 50 }));
  expect(error.message).toContain('no answer within 50 ms');
});

test('a caller who gives up ends his request', async () => {
  const server = await startServer(() => undefined);
  const api = await connect(server, { token: 't' });
  const stop = new AbortController();
  const asking = api.request({ method: 'GET', path: '/version', signal: stop.signal });
  stop.abort();
  expect((await failure(asking)).message).toContain('aborted');
});

test('a port where nobody listens is said to be so', async () => {
  const api = await connect('http://127.0.0.1:1', { token: 't' });
  const error = await failure(api.request({ method: 'GET', path: '/version' }));
  expect(error.status).toBe(0);
  expect(error.message).toContain('http://127.0.0.1:1: ECONNREFUSED');
});

test('an answer above the limit is refused, with a word about pages', async () => {
  const server = await startServer((_request, _body, answer) => answerJson(answer, 200, { text: 'x'.repeat(2_000) }));
  const api = await connect(server, { token: 't' }, { maxResponseBytes: 1_000 });
  const error = await failure(api.request({ method: 'GET', path: '/api/v1/namespaces/chat/pods' }));
  expect(error).toMatchObject({ reason: 'ResponseTooLarge' });
  expect(error.message).toContain('longer than 1000 bytes; ask for it in pages');
});

test('a watch streams as bytes come, past its first deadline, and ends with its signal', async () => {
  let send: (text: string) => void = () => undefined;
  const server = await startServer((request, _body, answer) => {
    expect(request.url).toBe('/api/v1/namespaces/chat/pods?allowWatchBookmarks=true&watch=true');
    answer.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
    send = (text) => answer.write(text);
  });
  const api = await connect(server, { token: 't' });
  const stop = new AbortController();
  const path = '/api/v1/namespaces/chat/pods';
  const query = { allowWatchBookmarks: 'true' };
  const stream = await api.watch({ path, query, signal: stop.signal, timeoutMs: 200 });
  const chunks = stream[Symbol.asyncIterator]();
  await systemClock.sleep(250);
  send('one\n');
  expect(Buffer.from((await chunks.next()).value as Uint8Array).toString()).toBe('one\n');
  const next = failure(chunks.next());
  stop.abort();
  expect((await next).message).toContain('aborted');
});

test('no token ever reaches an error or a log line', async () => {
  const lines: string[] = [];
  const keep = (fields: unknown, event: string): void => void lines.push(JSON.stringify([fields, event]));
  const log: Logger = { debug: keep, info: keep, warn: keep, error: keep, child: () => log };
  const server = await startServer((_request, _body, answer) =>
    answerJson(answer, 401, { kind: 'Status', message: 'no' }),
  );
  const api = await connect(server, { token: 'very-secret' }, { log });
  const error = await failure(api.request({ method: 'GET', path: '/version' }));
  lines.push(error.message, error.stack ?? '', api.describe, JSON.stringify(error));
  expect(lines.join('\n')).not.toContain('very-secret');
});
