import { afterEach, beforeEach, expect, test } from 'vitest';
import { NO_ORDER } from '../../../src/core/pool-orders.ts';
import type { StatusReport } from '../../../src/core/status.ts';
import { createAdminApp } from '../../../src/ingress/adapters/admin-app.ts';
import { localAdmin } from '../../../src/ingress/adapters/admin-authorizers.ts';
import type { Readiness } from '../../../src/ingress/ports.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { type HttpServer, startServer } from '../../../src/platform/http/server.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { createRegistry } from '../../../src/platform/metrics.ts';
import { fakeCatalog } from '../../unit/ingress/support/fake-catalog.ts';

const REPORT: StatusReport = {
  version: '0.1.0',
  installation: 'test',
  startedAtEpochMs: 1,
  nowEpochMs: 2,
  ready: true,
  problems: [],
  redis: { source: 'test', version: '8', reachable: true },
  pools: [],
};

let server: HttpServer;
let readiness: Readiness;
let broken = false;
beforeEach(async () => {
  readiness = { kind: 'ready' };
  const app = createAdminApp({
    readiness: { readiness: () => readiness },
    metrics: createRegistry({ version: '0.1.0', role: 'all' }),
    status: {
      status: () => (broken ? Promise.reject(new Error('secret detail')) : Promise.resolve(REPORT)),
      decisions: (pool) => Promise.resolve(pool === 'default/chat' ? [{ rule: 'hold' }] : undefined),
    },
    log: createLogger({ level: 'silent' }),
    protectMetrics: false,
    catalog: { current: fakeCatalog, onChange: () => () => undefined },
    orders: { of: () => NO_ORDER, set: () => Promise.resolve(), onChange: () => () => undefined },
    authorizer: localAdmin({ isLoopback: true }),
    namespace: 'default',
    clock: systemClock,
  });
  server = await startServer(app, { host: '127.0.0.1', port: 0, portSetting: 'admin.port' });
});
afterEach(async () => {
  broken = false;
  await server.close(0);
});

test.each([
  { path: '/status', status: 200, want: REPORT },
  { path: '/pools/default/chat/decisions', status: 200, want: { pool: 'default/chat', decisions: [{ rule: 'hold' }] } },
  { path: '/healthz', status: 200, want: { status: 'ok' } },
  { path: '/readyz', status: 200, want: { status: 'ready' } },
  { path: '/pools/default/none/decisions', status: 404, want: { error: { code: 'route_not_found', param: 'pool' } } },
  { path: '/nowhere', status: 404, want: { error: { code: 'route_not_found' } } },
])('GET $path answers $status', async ({ path, status, want }) => {
  const response = await fetch(server.url + path);
  expect(response.status).toBe(status);
  expect(await response.json()).toMatchObject(want);
});

test('metrics are in the text format, the build among them', async () => {
  const response = await fetch(`${server.url}/metrics`);
  expect(response.headers.get('content-type')).toContain('text/plain');
  const text = await response.text();
  expect(text).toContain('pilotlight_build_info{version="0.1.0",role="all"} 1');
  expect(text).toContain('process_resident_memory_bytes');
});

test('a status that fails is told without details', async () => {
  broken = true;
  const response = await fetch(`${server.url}/status`);
  expect(response.status).toBe(500);
  expect(await response.text()).not.toContain('secret');
});

test('in drain it is not ready', async () => {
  readiness = { kind: 'draining', reason: 'SIGTERM' };
  expect((await fetch(`${server.url}/readyz`)).status).toBe(503);
});
