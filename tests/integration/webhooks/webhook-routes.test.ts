import OpenAI, { NotFoundError } from 'openai';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { EQUAL_TENANTS } from '../../../src/core/tenants.ts';
import { createAuthenticator } from '../../../src/ingress/adapters/authenticator.ts';
import { KeyTable, keyHash } from '../../../src/ingress/adapters/configured-keys.ts';
import { MemoryArrivals } from '../../../src/ingress/adapters/idempotency/kept-arrivals.ts';
import { MemoryRequestKeys } from '../../../src/ingress/adapters/idempotency/memory-request-keys.ts';
import { plainExpress } from '../../../src/ingress/adapters/plain-express.ts';
import { uniqueIds } from '../../../src/ingress/adapters/unique-ids.ts';
import { addWebhookRoutes } from '../../../src/ingress/adapters/webhooks/webhook-routes.ts';
import { HeldBudget } from '../../../src/ingress/held-budget.ts';
import { ingressMetrics } from '../../../src/ingress/metrics.ts';
import { OpenCalls } from '../../../src/ingress/open-calls.ts';
import { DEFAULT_INGRESS_SETTINGS } from '../../../src/ingress/settings.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { type HttpServer, startServer } from '../../../src/platform/http/server.ts';
import { useRedis } from '../../support/redis.ts';
import { silentLogger } from '../../support/silent-logger.ts';
import { until } from '../../support/until.ts';
import { startReceiver, type WebhookReceiver } from '../../support/webhook-receiver.ts';
import { noticeFor, openGateway, type WebhookGateway } from '../../support/webhook-rig.ts';
import { fakeCatalog, identity } from '../../unit/ingress/support/fake-catalog.ts';
import { FakeJobEvents } from '../../unit/ingress/support/fake-job-events.ts';
import { FakeJobs } from '../../unit/ingress/support/fake-jobs.ts';
import { FakeRunner } from '../../unit/ingress/support/fake-runner.ts';

const ALL = '/webhook_endpoints';

interface Endpoint {
  readonly id: string;
  readonly signing_secret: string;
}
interface Page {
  readonly data: readonly { readonly id: string }[];
  readonly has_more: boolean;
}

const redis = useRedis();
let receiver: WebhookReceiver;
let gateway: WebhookGateway;
let server: HttpServer;
let tenants = 0;
let client: OpenAI;
let other: OpenAI;
let tenant: string;

beforeAll(async () => {
  receiver = await startReceiver();
  gateway = await openGateway({ url: redis.url, prefix: redis.prefix, settings: { perTenant: 3 } });
  server = await startServer(webhookApp(gateway), { host: '127.0.0.1', port: 0, portSetting: 'listen.port' });
});
beforeEach(() => {
  tenants += 1;
  tenant = `team-${tenants}`;
  client = clientOf(tenants);
  other = clientOf(0);
  (receiver.received as unknown[]).length = 0;
  receiver.answer = (response) => response.writeHead(204).end();
});
afterAll(async () => {
  await server.close(0);
  await gateway.stop();
  await receiver.close();
});

function clientOf(place: number): OpenAI {
  return new OpenAI({ baseURL: `${server.url}/v1`, apiKey: `sk-${place}`, maxRetries: 0 });
}

function webhookApp({ service }: WebhookGateway) {
  const app = plainExpress();
  const budget = new HeldBudget(DEFAULT_INGRESS_SETTINGS);
  const catalog = fakeCatalog();
  const keys = Array.from({ length: 40 }, (_, place) => ({
    identity: identity({ tenant: `team-${place}` }),
    keys: [keyHash(`sk-${place}`)],
  }));
  addWebhookRoutes(app, {
    webhooks: service,
    authenticator: createAuthenticator({ keys: new KeyTable(keys), anonymous: null, tokens: null }),
    readiness: { readiness: () => ({ kind: 'ready' }) },
    catalog: { current: () => catalog, onChange: () => () => undefined },
    tenants: EQUAL_TENANTS,
    runner: new FakeRunner(),
    jobs: new FakeJobs(),
    jobEvents: new FakeJobEvents(),
    advisor: {
      status: (_pool, _objective, position) => ({ position, phase: 'queued', etaMs: 1 }),
      retryAfterMs: () => 1,
      capacity: () => ({ canCome: true }),
    },
    clock: systemClock,
    ids: uniqueIds(systemClock),
    log: silentLogger,
    settings: DEFAULT_INGRESS_SETTINGS,
    keys: new MemoryRequestKeys(systemClock),
    arrivals: new MemoryArrivals(systemClock),
    metrics: ingressMetrics(new Registry(), budget),
    budget,
    openCalls: new OpenCalls(),
  });
  return app;
}

function create(fields: Record<string, unknown> = {}): Promise<Endpoint> {
  return client.post<Endpoint>(ALL, {
    body: { name: 'hook', url: receiver.url, event_types: ['batch.completed'], ...fields },
  });
}

describe('webhook endpoints over HTTP', () => {
  test('are made, shown, changed, listed and deleted', async () => {
    const { signing_secret, ...created } = await create();
    expect(created).toEqual({
      id: expect.stringMatching(/^we_[0-9a-f]{24}$/) as string,
      object: 'webhook_endpoint',
      created_at: expect.any(Number) as number,
      updated_at: expect.any(Number) as number,
      name: 'hook',
      url: receiver.url,
      event_types: ['batch.completed'],
      signing_secret_hint: signing_secret.slice(-4),
      enabled: true,
    });
    expect(await client.get(`${ALL}/${created.id}`)).toEqual(created);
    const change = { event_types: ['response.failed', 'response.completed', 'response.failed'] };
    expect(await client.post(`${ALL}/${created.id}`, { body: change })).toMatchObject({
      name: 'hook',
      event_types: ['response.failed', 'response.completed'],
    });
    expect(await client.delete(`${ALL}/${created.id}`)).toEqual({
      id: created.id,
      object: 'webhook_endpoint.deleted',
      deleted: true,
    });
    await expect(client.get(`${ALL}/${created.id}`)).rejects.toThrow(NotFoundError);
  });

  test('are listed newest first, page by page', async () => {
    const made: string[] = [];
    for (let index = 0; index < 3; index += 1) {
      made.push((await create()).id);
      const madeAtMs = Date.now();
      await until(() => Date.now() > madeAtMs, 'the clock has moved');
    }
    const first = await client.get<Page>(ALL, { query: { limit: 2 } });
    const second = await client.get<Page>(ALL, { query: { limit: 2, after: first.data.at(-1)?.id } });
    expect([first.has_more, second.has_more]).toEqual([true, false]);
    expect([...first.data, ...second.data].map(({ id }) => id)).toEqual(made.toReversed());
    const oldest = await client.get<Page>(ALL, { query: { order: 'asc' } });
    expect(oldest.data.map(({ id }) => id)).toEqual(made);
  });

  test('tell their secret when it is made and when it is rotated, and never again', async () => {
    const made = await create();
    const rotated = await client.post<Endpoint>(`${ALL}/${made.id}/rotate_secret`);
    expect(rotated.signing_secret).not.toBe(made.signing_secret);
    const shown = [
      await client.get(ALL),
      await client.get(`${ALL}/${made.id}`),
      await client.post(`${ALL}/${made.id}`, { body: { name: 'b' } }),
      await client.get(`${ALL}/${made.id}/deliveries`),
    ];
    expect(JSON.stringify(shown)).not.toContain('whsec_');
  });

  test('are tested without a body, and show what was sent', async () => {
    const { id, signing_secret } = await create();
    const answer = await fetch(`${server.url}/v1${ALL}/${id}/test`, {
      method: 'POST',
      headers: { authorization: `Bearer sk-${tenants}` },
    });
    expect(await answer.json()).toMatchObject({
      object: 'webhook_endpoint.delivery',
      webhook_endpoint_id: id,
      event: { type: 'batch.completed' },
      status: 'delivered',
      attempts: 1,
      last_result: 'HTTP 204',
    });
    const [got] = receiver.received;
    await client.webhooks.unwrap(got?.body ?? '', got?.headers ?? {}, signing_secret);
    await client.post(`${ALL}/${id}/test`, { body: { event_type: 'response.failed' } });
    expect(receiver.received[1]?.body).toContain('response.failed');
  });

  test('have a log, from which a delivery is sent again', async () => {
    const { id } = await create();
    await gateway.sink.publish(noticeFor(tenant));
    await until(() => receiver.received.length === 1, 'it is delivered');
    const log = await client.get<Page>(`${ALL}/${id}/deliveries`);
    expect(log.data).toHaveLength(1);
    const again = await client.post(`${ALL}/${id}/deliveries/${log.data[0]?.id}/redeliver`);
    expect(again).toMatchObject({ status: 'pending' });
    await until(() => receiver.received.length === 2, 'it is delivered again');
  });

  test('are unknown to others', async () => {
    const { id } = await create();
    for (const path of [`${ALL}/${id}`, `${ALL}/${id}/deliveries`]) {
      await expect(other.get(path)).rejects.toMatchObject({ status: 404, code: 'webhook_not_found' });
    }
    for (const path of ['', '/rotate_secret', '/test', '/deliveries/whd_1/redeliver']) {
      const sent = other.post(`${ALL}/${id}${path}`, { body: {} });
      await expect(sent).rejects.toMatchObject({ status: 404, code: 'webhook_not_found' });
    }
    await expect(other.delete(`${ALL}/${id}`)).rejects.toMatchObject({ status: 404 });
    expect(await other.get<Page>(ALL)).toMatchObject({ data: [] });
  });

  for (const [what, fields, param, code] of [
    ['no URL', { url: undefined }, 'url', 'missing_required_parameter'],
    ['a URL that is none', { url: 'hooks.example.com' }, 'url', 'invalid_value'],
    ['a URL that is a number', { url: 7 }, 'url', 'invalid_type'],
    ['an inner URL', { url: 'http://[::ffff:10.0.0.1]/' }, 'url', 'invalid_value'],
    ['no types', { event_types: undefined }, 'event_types', 'missing_required_parameter'],
    ['an empty list of types', { event_types: [] }, 'event_types', 'invalid_value'],
    ['a type that does not exist', { event_types: ['batch.done'] }, 'event_types[0]', 'invalid_value'],
    ['far too many types', { event_types: Array(100).fill('batch.failed') }, 'event_types', 'invalid_value'],
    ['a name without end', { name: 'x'.repeat(257) }, 'name', 'invalid_value'],
    ['a field of its own', { secret: 'mine' }, 'secret', 'invalid_value'],
  ] as const) {
    test(`are refused with ${what}`, async () => {
      await expect(create(fields)).rejects.toMatchObject({ status: 400, param, code });
    });
  }

  test('are refused beyond their number, which the error tells', async () => {
    for (let index = 0; index < 3; index += 1) await create();
    await expect(create()).rejects.toThrow('limit webhooks.perTenant');
  });

  test('are refused to a caller without a key', async () => {
    expect((await fetch(`${server.url}/v1${ALL}`)).status).toBe(401);
  });
});
