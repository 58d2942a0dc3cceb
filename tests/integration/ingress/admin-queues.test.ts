import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { NO_ORDER } from '../../../src/core/pool-orders.ts';
import type { DeadLetter, DeadLetterAnswer, DeadLetterQuery, QueueDesk } from '../../../src/core/queues.ts';
import { createAdminApp } from '../../../src/ingress/adapters/admin-app.ts';
import { localAdmin } from '../../../src/ingress/adapters/admin-authorizers.ts';
import { type HttpServer, startServer } from '../../../src/platform/http/server.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { createRegistry } from '../../../src/platform/metrics.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeOrder, liveTicket } from '../../support/fake-order.ts';
import { fakeCatalog, poolSpec } from '../../unit/ingress/support/fake-catalog.ts';

const NOW = 1_700_000_000_000;
const POOL = 'default/chat';

let clock: FakeClock;
let order: FakeOrder;
let queries: DeadLetterQuery[];
let ordered: [verb: string, ids: readonly string[]][];
let logLines: string[];
const servers: HttpServer[] = [];
beforeEach(() => {
  clock = new FakeClock(NOW);
  order = new FakeOrder(POOL);
  [queries, ordered, logLines] = [[], [], []];
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close(0);
});

function fakeDesk(): QueueDesk {
  const answers = (verb: string, ids: readonly string[]): Promise<DeadLetterAnswer[]> => {
    ordered.push([verb, ids]);
    return Promise.resolve(ids.map((id) => ({ id, kind: 'purged' })));
  };
  return {
    look: () => Promise.resolve({ pool: POOL, nowEpochMs: NOW, objectives: [] }),
    tickets: (query) => order.list(query),
    explain: async (id) => {
      const ticket = await order.find(id);
      return { pool: POOL, id, place: ticket ? { kind: 'live', ticket } : { kind: 'unknown' }, job: null };
    },
    setPaused: (objective, paused) => order.setPaused(objective, paused),
    deadLetters: {
      count: () => Promise.resolve(1),
      list: (query) => {
        queries.push(query);
        return Promise.resolve({ letters: [{ id: 'job_1' } as DeadLetter], next: 'nightly|1|job_1' });
      },
      show: (id) => Promise.resolve(id === 'job_1' ? ({ id } as DeadLetter) : null),
      retry: (ids) => answers('retry', ids),
      purge: (ids) => answers('purge', ids),
    },
  };
}

async function open(options: { isLoopback?: boolean; desk?: QueueDesk | null } = {}): Promise<string> {
  const { isLoopback = true, desk = fakeDesk() } = options;
  const catalog = { ...fakeCatalog(), pools: new Map([[POOL, poolSpec([])]]) };
  const app = createAdminApp({
    readiness: { readiness: () => ({ kind: 'ready' }) },
    metrics: createRegistry({ version: '0', role: 'all' }),
    protectMetrics: false,
    status: { status: () => Promise.reject(new Error('not asked')), decisions: () => Promise.resolve([]) },
    catalog: { current: () => catalog, onChange: () => () => undefined },
    orders: { of: () => NO_ORDER, set: () => Promise.resolve(), onChange: () => () => undefined },
    authorizer: localAdmin({ isLoopback }),
    namespace: 'default',
    queues: desk && (() => desk),
    clock,
    log: createLogger({ level: 'info', destination: { write: (line) => void logLines.push(line) } }),
  });
  const server = await startServer(app, { host: '127.0.0.1', port: 0, portSetting: 'admin.port' });
  servers.push(server);
  return `${server.url}/queues`;
}

function post(url: string, body: unknown, type = 'application/json'): Promise<Response> {
  return fetch(url, { method: 'POST', headers: { 'content-type': type }, body: JSON.stringify(body) });
}

describe('looking', () => {
  test('queues, of all pools and of one', async () => {
    const url = await open();
    const queues = { pool: POOL, nowEpochMs: NOW, objectives: [] };
    expect(await (await fetch(url)).json()).toEqual({ object: 'queues', pools: [queues] });
    expect(await (await fetch(`${url}/default/chat`)).json()).toEqual({ object: 'queue', ...queues });
  });

  test('tickets, with what they are chosen by', async () => {
    const url = await open();
    order.tickets = [liveTicket('req_1'), liveTicket('req_2', { fairnessId: 'team-b' })];
    const answer = await fetch(`${url}/default/chat/tickets?tenant=team-b&limit=20`);
    expect(await answer.json()).toMatchObject({ object: 'tickets', tickets: [{ id: 'req_2', reason: 'order' }] });
    expect(order.asked).toEqual([{ objective: null, fairnessId: 'team-b', limit: 20 }]);
  });

  test('one request, by its id', async () => {
    const url = await open();
    order.tickets = [liveTicket('req_1')];
    const known = await fetch(`${url}/default/chat/tickets/req_1`);
    expect(await known.json()).toMatchObject({ object: 'ticket', id: 'req_1', place: { kind: 'live' } });
    const unknown = await fetch(`${url}/default/chat/tickets/req_9`);
    expect(await unknown.json()).toMatchObject({ place: { kind: 'unknown' } });
  });

  test('dead letters, a page and one', async () => {
    const url = await open();
    const answer = await fetch(`${url}/default/chat/dead?objective=nightly&olderThan=2h&limit=5`);
    expect(await answer.json()).toMatchObject({ letters: [{ id: 'job_1' }], next: 'nightly|1|job_1' });
    expect(queries).toEqual([{ objective: 'nightly', endedBeforeEpochMs: NOW - 7_200_000, after: null, limit: 5 }]);
    const longestNext = `${'o'.repeat(253)}|${NOW}|${'i'.repeat(128)}`;
    expect((await fetch(`${url}/default/chat/dead?after=${encodeURIComponent(longestNext)}`)).status).toBe(200);
    expect((await fetch(`${url}/default/chat/dead/job_1`)).status).toBe(200);
    expect((await fetch(`${url}/default/chat/dead/job_9`)).status).toBe(404);
  });

  test.each([
    { path: '/default/none/tickets', status: 404, message: "There is no pool 'default/none'" },
    { path: '/default/chat/tickets?limit=501', status: 400, message: 'must be from 1 to 500' },
    { path: '/default/chat/tickets?limit=two', status: 400, message: "Invalid type for 'limit'" },
    { path: '/default/chat/tickets?colour=red', status: 400, message: "there are 'objective', 'tenant', 'limit'" },
    { path: '/default/chat/tickets?tenant=a&tenant=b', status: 400, message: 'expected one string' },
    { path: '/default/chat/dead?olderThan=soon', status: 400, message: "Invalid 'olderThan'" },
  ])('$path is refused', async ({ path, status, message }) => {
    const answer = await fetch(`${await open()}${path}`);
    expect(answer.status).toBe(status);
    expect(JSON.stringify(await answer.json())).toContain(message);
  });

  test('a process without queues says where they are', async () => {
    const url = await open({ desk: null });
    for (const path of ['', '/default/chat']) {
      expect(await (await fetch(`${url}${path}`)).json()).toMatchObject({ error: { code: 'jobs_disabled' } });
    }
  });
});

describe('ordering', () => {
  test('an objective is paused and resumed, and the log says by whom', async () => {
    const url = await open();
    const answer = await post(`${url}/default/chat/objectives/nightly/pause`, {});
    expect(await answer.json()).toMatchObject({ object: 'objective', objective: 'nightly' });
    expect([...order.paused]).toEqual(['nightly']);
    await post(`${url}/default/chat/objectives/nightly/resume`, {});
    expect([...order.paused]).toEqual([]);
    expect(logLines).toHaveLength(2);
    expect(logLines[0]).toContain('objective.paused');
    expect(logLines[1]).toContain('objective.resumed');
    expect(logLines[0]).toContain('"by":"local"');
  });

  test.each([
    { body: { ids: ['job_1', 'job_2', 'job_1'] }, ids: ['job_1', 'job_2'], next: null },
    { body: { objective: 'nightly' }, ids: ['job_1'], next: `${NOW}@nightly|1|job_1` },
    { body: { all: true, limit: 10 }, ids: ['job_1'], next: `${NOW}@nightly|1|job_1` },
  ])('dead letters are chosen by $body', async ({ body, ids, next }) => {
    const url = await open();
    for (const verb of ['retry', 'purge']) {
      const answer = await post(`${url}/default/chat/dead/${verb}`, body);
      expect(await answer.json()).toMatchObject({ verb, done: ids.length, next });
    }
    expect(ordered).toEqual([
      ['retry', ids],
      ['purge', ids],
    ]);
    expect(logLines.join('')).toMatch(/dead_letters\.retried[^]*dead_letters\.purged/);
  });

  test('pages of one order end at what had failed when it began', async () => {
    const url = await open();
    let after: string | null = null;
    for (let page = 0; page < 2; page += 1) {
      const body = { all: true, olderThan: '1m', ...(after !== null && { after }) };
      const answer = await post(`${url}/default/chat/dead/retry`, body);
      ({ next: after } = (await answer.json()) as { next: string });
      await clock.advance(300_000);
    }
    const endedBeforeEpochMs = NOW - 60_000;
    expect(queries).toMatchObject([
      { after: null, endedBeforeEpochMs },
      { after: 'nightly|1|job_1', endedBeforeEpochMs },
    ]);
  });

  test.each([
    { body: {}, message: 'it names no dead letters' },
    { body: { all: false }, message: 'it names no dead letters' },
    { body: { ids: [] }, message: 'ids[0]' },
    { body: { ids: [1] }, message: 'ids[0]' },
    { body: { ids: Array.from({ length: 101 }, (_, n) => `job_${n}`) }, message: 'at most 100' },
    { body: { ids: ['a'], all: true }, message: 'nothing else can be given with it' },
    { body: { all: 'yes' }, message: "Invalid type for 'all'" },
    { body: { all: true, limit: 101 }, message: 'must be from 1 to 100' },
    { body: [], message: "Invalid type for 'body'" },
  ])('$message: refused, and nothing is done', async ({ body, message }) => {
    const answer = await post(`${await open()}/default/chat/dead/purge`, body);
    expect(answer.status).toBe(400);
    expect(JSON.stringify(await answer.json())).toContain(message);
    expect(ordered).toEqual([]);
  });

  test('a web page, and who is not on this machine, give no orders', async () => {
    const url = await open();
    const path = '/default/chat/dead/purge';
    expect((await post(`${url}${path}`, { all: true }, 'text/plain')).status).toBe(415);
    const elsewhere = await open({ isLoopback: false });
    expect((await post(`${elsewhere}${path}`, { all: true })).status).toBe(403);
    expect((await post(`${elsewhere}/default/chat/objectives/nightly/pause`, {})).status).toBe(403);
    expect(ordered).toEqual([]);
    expect([...order.paused]).toEqual([]);
  });
});

test('an order that is too long is told how long it may be', async () => {
  const url = await open();
  const answer = await post(`${url}/default/chat/dead/retry`, { ids: ['x'.repeat(70_000)] });
  expect(answer.status).toBe(413);
  expect(await answer.json()).toMatchObject({ error: { message: 'This order has at most 64Ki bytes.' } });
  expect(ordered).toEqual([]);
});
