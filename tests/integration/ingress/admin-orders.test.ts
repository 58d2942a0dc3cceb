import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PilotlightError } from '../../../src/core/errors.ts';
import { NO_ORDER, type PoolOrder, type PoolOrders } from '../../../src/core/pool-orders.ts';
import type { PoolReport, StatusReport } from '../../../src/core/status.ts';
import { createAdminApp } from '../../../src/ingress/adapters/admin-app.ts';
import { kubeAdmin, localAdmin } from '../../../src/ingress/adapters/admin-authorizers.ts';
import { TOKEN_CACHE_OPTIONS } from '../../../src/ingress/adapters/answer-cache.ts';
import { tokenReviews } from '../../../src/ingress/adapters/token-review.ts';
import type { AdminAuthorizer } from '../../../src/ingress/ports.ts';
import { type HttpServer, startServer } from '../../../src/platform/http/server.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { createRegistry } from '../../../src/platform/metrics.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { fakeCatalog, poolSpec } from '../../unit/ingress/support/fake-catalog.ts';
import { ReviewApi } from './support/review-api.ts';

const NOW = 1_700_000_000_000;
const TARGET = { maxReplicas: 3 };

class FakeOrders implements PoolOrders {
  readonly given: Partial<PoolOrder>[] = [];
  failure: Error | null = null;

  of(): PoolOrder {
    return NO_ORDER;
  }

  set(_pool: string, change: Partial<PoolOrder>): Promise<void> {
    if (this.failure) return Promise.reject(this.failure);
    this.given.push(change);
    return Promise.resolve();
  }

  onChange(): () => void {
    return () => undefined;
  }
}

let clock: FakeClock;
let orders: FakeOrders;
let api: ReviewApi;
let logLines: string[];
const servers: HttpServer[] = [];
beforeEach(() => {
  clock = new FakeClock(NOW);
  orders = new FakeOrders();
  api = new ReviewApi();
  logLines = [];
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close(0);
});

const REPORT: StatusReport = {
  version: '0',
  installation: 'test',
  startedAtEpochMs: 1,
  nowEpochMs: 2,
  ready: true,
  problems: [],
  redis: { source: 'test', version: '8', reachable: true },
  pools: ['default/chat', 'team-b/chat'].map((pool) => ({ pool }) as PoolReport),
};

async function open(
  authorizer: AdminAuthorizer,
  pools = REPORT.pools,
  ordersElsewhere: string | null = null,
): Promise<string> {
  // Only what the listener reads of a target.
  const pool = { ...poolSpec([]), policyName: 'chat-policy', targets: [TARGET, TARGET] as never };
  const catalog = { ...fakeCatalog(), pools: new Map([['default/chat', pool]]) };
  const app = createAdminApp({
    readiness: { readiness: () => ({ kind: 'ready' }) },
    metrics: createRegistry({ version: '0', role: 'all' }),
    protectMetrics: true,
    status: { status: () => Promise.resolve({ ...REPORT, pools }), decisions: () => Promise.resolve([]) },
    catalog: { current: () => catalog, onChange: () => () => undefined },
    orders,
    ordersElsewhere,
    authorizer,
    namespace: 'pilotlight',
    clock,
    log: createLogger({ level: 'debug', destination: { write: (line) => void logLines.push(line) } }),
  });
  const server = await startServer(app, { host: '127.0.0.1', port: 0, portSetting: 'admin.port' });
  servers.push(server);
  return server.url;
}

function post(url: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

describe('on one machine', () => {
  test.each([
    {
      verb: 'wake',
      body: { for: '30m', replicas: 2 },
      given: { wakeUntilEpochMs: NOW + 1_800_000, wakeReplicas: 2, by: 'local' },
      shown: { wake: { until: '2023-11-14T22:43:20.000Z', replicas: 2 }, drain: null, paused: false, by: 'local' },
    },
    {
      verb: 'drain',
      body: { for: '1h' },
      given: { drainUntilEpochMs: NOW + 3_600_000, by: 'local' },
      shown: { wake: null, drain: { until: '2023-11-14T23:13:20.000Z' }, paused: false },
    },
    { verb: 'pause', body: {}, given: { paused: true, by: 'local' }, shown: { paused: true } },
    { verb: 'resume', body: '', given: { paused: false, by: 'local' }, shown: { paused: false } },
  ])('$verb is given to the pool and shown', async ({ verb, body, given, shown }) => {
    const url = await open(localAdmin({ isLoopback: true }));
    const response = await post(`${url}/pools/default/chat/${verb}`, body);
    expect(await response.json()).toMatchObject({ pool: 'default/chat', ...shown });
    expect(response.status).toBe(200);
    expect(orders.given).toEqual([given]);
    expect(logLines.join('')).toContain('order.given');
  });

  test.each(['wake', 'drain', 'pause', 'resume'])('%s is not taken where orders are taken elsewhere', async (verb) => {
    const url = await open(localAdmin({ isLoopback: true }), REPORT.pools, 'Ask the controller.');
    const response = await post(`${url}/pools/default/chat/${verb}`, {});
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({
      error: { code: 'admin_forbidden', message: 'Ask the controller.' },
    });
    expect(orders.given).toEqual([]);
    expect((await fetch(`${url}/pools/default/chat/orders`)).status).toBe(200);
  });

  test('orders can be read', async () => {
    const url = await open(localAdmin({ isLoopback: true }));
    const response = await fetch(`${url}/pools/default/chat/orders`);
    expect(await response.json()).toEqual({ pool: 'default/chat', wake: null, drain: null, paused: false, by: null });
  });

  test.each([
    { name: 'broken JSON', path: 'chat/wake', body: '{', status: 400, code: 'invalid_json' },
    { name: 'a wrong duration', path: 'chat/wake', body: { for: 'long' }, status: 400, code: 'invalid_value' },
    {
      name: 'more replicas than the targets allow',
      path: 'chat/wake',
      body: { for: '1m', replicas: 7 },
      status: 400,
      code: 'invalid_value',
    },
    { name: 'a large body', path: 'chat/pause', body: { x: 'x'.repeat(5_000) }, status: 413, code: 'body_too_large' },
    { name: 'an unknown pool', path: 'none/pause', body: {}, status: 404, code: 'route_not_found' },
    { name: 'an unknown verb', path: 'chat/explode', body: {}, status: 404, code: 'route_not_found' },
    { name: 'a broken path', path: '%zz/pause', body: {}, status: 400, code: 'invalid_value' },
  ])('$name is refused', async ({ path, body, status, code }) => {
    const url = await open(localAdmin({ isLoopback: true }));
    const response = await post(`${url}/pools/default/${path}`, body);
    expect(await response.json()).toMatchObject({ error: { code } });
    expect(response.status).toBe(status);
    expect(orders.given).toEqual([]);
  });

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data', 'application/jsonx'])(
    'what a form of a web page can send (%s) is refused',
    async (type) => {
      const url = await open(localAdmin({ isLoopback: true }));
      const response = await post(`${url}/pools/default/chat/pause`, '{}', { 'content-type': type });
      expect(response.status).toBe(415);
      expect(orders.given).toEqual([]);
    },
  );

  test.each([
    { name: 'under the name of another host', headers: { host: 'evil.example' }, isLoopback: true },
    {
      name: 'from a page of another host',
      headers: { host: '127.0.0.1:9090', origin: 'https://evil.example' },
      isLoopback: true,
    },
    { name: 'on an address that others reach', headers: { host: '127.0.0.1:9090' }, isLoopback: false },
  ])('an order $name is refused, reading is not', async ({ headers, isLoopback }) => {
    const admin = localAdmin({ isLoopback });
    const at = { kind: 'policy', namespace: 'default', name: 'chat' } as const;
    expect(await admin.authorize(headers, { ...at, verb: 'drain' })).toMatchObject({ code: 'admin_forbidden' });
    expect(await admin.authorize(headers, { ...at, verb: 'get' })).toEqual({ by: 'local' });
  });

  test.each(['127.0.0.1:9090', 'localhost:9090', '[::1]:9090', 'localhost'])(
    'an order to %s is taken',
    async (host) => {
      const action = { kind: 'policy', verb: 'wake', namespace: 'default', name: 'chat' } as const;
      expect(await localAdmin({ isLoopback: true }).authorize({ host }, action)).toEqual({ by: 'local' });
    },
  );

  test('an order that could not be stored says so, and was not taken', async () => {
    const url = await open(localAdmin({ isLoopback: true }));
    orders.failure = new PilotlightError('store_unavailable', 'The order was not stored: Redis does not answer.');
    const response = await post(`${url}/pools/default/chat/pause`, {});
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('1');
  });
});

describe('in a cluster', () => {
  const OPS = 'system:serviceaccount:ops:bot';
  let url: string;
  beforeEach(async () => {
    api.tokens.set('ops-token', { username: OPS, audiences: ['pilotlight'] });
    const log = createLogger({ level: 'debug', destination: { write: (line) => void logLines.push(line) } });
    const reviews = tokenReviews({ kube: api, audiences: ['pilotlight'], clock, log, cache: TOKEN_CACHE_OPTIONS });
    url = await open(kubeAdmin({ kube: api, reviews, clock, log }));
  });
  const withToken = { authorization: 'Bearer ops-token' };
  const get = (path: string, headers: Record<string, string> = withToken) => fetch(url + path, { headers });

  test('who may wake the policy of a pool wakes the pool, under his own name', async () => {
    api.rights.add(`${OPS} wake default/chat-policy`);
    const response = await post(`${url}/pools/default/chat/wake`, { for: '1m' }, withToken);
    expect(response.status).toBe(200);
    expect(orders.given).toMatchObject([{ by: OPS }]);
  });

  test('who may not drain is told the verb, the resource and the Role that would allow it', async () => {
    api.rights.add(`${OPS} wake default/chat-policy`);
    const response = await post(`${url}/pools/default/chat/drain`, { for: '1m' }, withToken);
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({
      error: {
        code: 'admin_forbidden',
        message:
          `'${OPS}' may not drain scalepolicies.pilotlight.dev "chat-policy" in namespace "default". A Role in namespace ` +
          '"default" with apiGroups ["pilotlight.dev"], resources ["scalepolicies"], verbs ["drain"] allows it.',
      },
    });
    expect(orders.given).toEqual([]);
  });

  test('resume is the right to pause', async () => {
    api.rights.add(`${OPS} pause default/chat-policy`);
    expect((await post(`${url}/pools/default/chat/resume`, {}, withToken)).status).toBe(200);
  });

  test.each([
    { name: 'no token', headers: {} },
    { name: 'a token that nobody knows', headers: { authorization: 'Bearer hunter2' } },
    { name: 'another scheme', headers: { authorization: 'Basic b3BzLXRva2Vu' } },
    { name: 'a token that is too long', headers: { authorization: `Bearer ${'x'.repeat(9_000)}` } },
  ])('with $name everything but health is 401', async ({ headers }) => {
    for (const path of ['/status', '/metrics', '/pools/default/chat/decisions', '/pools/default/chat/orders']) {
      const response = await get(path, headers);
      expect([path, response.status]).toEqual([path, 401]);
    }
    expect((await get('/healthz', {})).status).toBe(200);
    expect((await get('/readyz', {})).status).toBe(200);
    expect(logLines.join('')).not.toContain('hunter2');
  });

  test('the status has the pools of those namespaces whose policies one may list', async () => {
    api.rights.add(`${OPS} list default/*`);
    const report = (await (await get('/status')).json()) as StatusReport;
    expect(report.pools.map(({ pool }) => pool)).toEqual(['default/chat']);
  });

  test('without any such namespace there is no status', async () => {
    expect((await get('/status')).status).toBe(403);
  });

  test('of an installation without pools the namespace that it runs in counts', async () => {
    const empty = await open(
      {
        authorize: (_headers, action) =>
          Promise.resolve(
            action.kind === 'policy' && action.namespace === 'pilotlight'
              ? { by: 'x' }
              : new PilotlightError('admin_forbidden', 'no'),
          ),
      },
      [],
    );
    expect((await fetch(`${empty}/status`)).status).toBe(200);
  });

  test('the metrics are for who may get their URL', async () => {
    expect((await get('/metrics')).status).toBe(403);
    await clock.advance(3_000);
    api.rights.add(`${OPS} get /metrics`);
    expect((await get('/metrics')).status).toBe(200);
  });

  test('who may not read a pool does not learn whether it exists', async () => {
    const texts = await Promise.all(
      ['chat', 'none'].map(async (pool) => (await get(`/pools/default/${pool}/orders`)).status),
    );
    expect(texts).toEqual([403, 403]);
  });

  test('rights are asked for once in ten seconds, and a new Role counts after three', async () => {
    api.rights.add(`${OPS} get default/chat-policy`);
    for (let time = 0; time < 5; time += 1) await get('/pools/default/chat/orders');
    expect(api.requests.map(({ path }) => path.split('/').at(-1))).toEqual(['tokenreviews', 'subjectaccessreviews']);
    expect((await post(`${url}/pools/default/chat/pause`, {}, withToken)).status).toBe(403);
    api.rights.add(`${OPS} pause default/chat-policy`);
    await clock.advance(3_000);
    expect((await post(`${url}/pools/default/chat/pause`, {}, withToken)).status).toBe(200);
  });

  test('while the API server is down no order is taken, and it is not the caller who is at fault; who could look still can', async () => {
    api.rights.add(`${OPS} get default/chat-policy`);
    api.rights.add(`${OPS} pause default/chat-policy`);
    await get('/pools/default/chat/orders');
    expect((await post(`${url}/pools/default/chat/pause`, {}, withToken)).status).toBe(200);
    api.goDown('ops-token');
    await clock.advance(10_000);
    expect((await get('/pools/default/chat/orders')).status).toBe(200);
    const response = await post(`${url}/pools/default/chat/pause`, {}, withToken);
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('2');
    expect(`${await response.text()}${logLines.join('')}`).not.toContain('ops-token');
  });
});
