import OpenAI from 'openai';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { MemoryBlobStore } from '../../support/memory-blob-store.ts';
import { startDedicatedRedis, useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { startReceiver, type WebhookReceiver } from '../../support/webhook-receiver.ts';
import { deliveryWhen, noticeFor, openGateway, type WebhookGateway } from '../../support/webhook-rig.ts';

const redis = useRedis();
const blobs = new MemoryBlobStore();
let receiver: WebhookReceiver;
let gateway: WebhookGateway;
let tenant: string;
let tenants = 0;

beforeAll(async () => {
  receiver = await startReceiver();
  gateway = await openGateway({ url: redis.url, prefix: redis.prefix, blobs });
});
beforeEach(() => {
  tenants += 1;
  tenant = `team-${tenants}`;
  (receiver.received as unknown[]).length = 0;
  receiver.answer = (response) => response.writeHead(204).end();
});
afterAll(async () => {
  await gateway.stop();
  await receiver.close();
});

async function create(fields: { url?: string; name?: string } = {}) {
  const { service } = gateway;
  return service.create(tenant, { name: 'hook', url: receiver.url, eventTypes: ['batch.completed'], ...fields });
}

describe('an endpoint', () => {
  test('is created with a secret that is shown once, and listed without it', async () => {
    const { endpoint, signingSecret } = await create();
    expect(signingSecret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(endpoint).toMatchObject({ tenant, name: 'hook', enabled: true, secretHint: signingSecret.slice(-4) });
    const listed = await gateway.service.list(tenant);
    expect(listed).toEqual([endpoint]);
    expect(JSON.stringify(listed)).not.toContain(signingSecret);
    expect(await gateway.service.get(endpoint.id, tenant)).toEqual(endpoint);
  });

  test('is another tenant’s business alone', async () => {
    const { endpoint } = await create();
    const other = `${tenant}-other`;
    const { service } = gateway;
    const attempts = [
      () => service.get(endpoint.id, other),
      () => service.update(endpoint.id, other, { name: 'mine' }),
      () => service.delete(endpoint.id, other),
      () => service.rotateSecret(endpoint.id, other),
      () => service.test(endpoint.id, other, 'batch.completed'),
      () => service.deliveries(endpoint.id, other),
      () => service.redeliver(endpoint.id, other, 'whd_1'),
    ];
    for (const attempt of attempts) await expect(attempt()).rejects.toMatchObject({ code: 'webhook_not_found' });
    expect(await gateway.service.list(other)).toEqual([]);
  });

  test('is refused beyond the limit, also when all come at once', async () => {
    const answers = await Promise.allSettled(Array.from({ length: 20 }, () => create()));
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(16);
    expect(await gateway.service.list(tenant)).toHaveLength(16);
  });

  test('outlives the loss of Redis', async () => {
    const { endpoint, signingSecret } = await create();
    const keys = await gateway.command.keys(`${redis.prefix}:*endpoints*`);
    if (keys.length > 0) await gateway.command.del(...keys);
    expect(await gateway.service.list(tenant)).toEqual([endpoint]);
    await gateway.sink.publish(noticeFor(tenant));
    await until(() => receiver.received.length === 1, 'it is delivered');
    const [got] = receiver.received;
    const client = new OpenAI({ apiKey: 'none' });
    await client.webhooks.unwrap(got?.body ?? '', got?.headers, signingSecret);
  });

  for (const [url, says] of [
    ['ftp://hooks.example.com/', 'https://'],
    ['https://user:pass@hooks.example.com/', 'password'],
    ['not a url', 'not a URL'],
    ['http://10.0.0.1/', 'not public'],
    ['http://2130706434:99999/', 'not a URL'],
    ['http://0xa9fea9fe/latest/meta-data', 'not public'],
    ['http://localhost/', 'not public'],
    [`https://hooks.example.com/${'x'.repeat(2_048)}`, '2048'],
  ] as const) {
    test(`is refused with the URL ${url.slice(0, 50)}`, async () => {
      await expect(create({ url })).rejects.toMatchObject({ code: 'invalid_value', param: 'url' });
      await expect(create({ url })).rejects.toThrow(says);
    });
  }
});

describe('a notice', () => {
  test('is delivered once to each endpoint that wants its type, however often it is published', async () => {
    const { endpoint } = await create();
    await create();
    await gateway.service.create(tenant, { name: 'other', url: receiver.url, eventTypes: ['batch.failed'] });
    const notice = noticeFor(tenant);
    await Promise.all(Array.from({ length: 10 }, () => gateway.sink.publish(notice)));
    const done = await deliveryWhen(gateway, endpoint, ({ status }) => status === 'delivered', 'it is delivered');
    await gateway.sink.publish(notice);
    expect(done).toMatchObject({ attempts: 1, lastResult: 'HTTP 204', nextAttemptAtEpochMs: null });
    await until(() => receiver.received.length === 2, 'both endpoints have it');
    expect(receiver.received.map(({ headers }) => headers['webhook-id'])).toEqual([notice.id, notice.id]);
    expect(JSON.parse(receiver.received[0]?.body ?? '')).toEqual({
      id: notice.id,
      object: 'event',
      type: 'batch.completed',
      created_at: Math.floor(notice.createdAtEpochMs / 1_000),
      data: { id: notice.objectId },
    });
  });

  test('is signed with both secrets after a rotation', async () => {
    const { endpoint, signingSecret } = await create();
    const rotated = await gateway.service.rotateSecret(endpoint.id, tenant);
    expect(rotated.signingSecret).not.toBe(signingSecret);
    await gateway.sink.publish(noticeFor(tenant));
    await until(() => receiver.received.length === 1, 'it is delivered');
    const client = new OpenAI({ apiKey: 'none' });
    const [got] = receiver.received;
    for (const secret of [signingSecret, rotated.signingSecret]) {
      await client.webhooks.unwrap(got?.body ?? '', got?.headers, secret);
    }
  });

  test('switches the endpoint off when the receiver says 410, until it is updated', async () => {
    const { endpoint } = await create();
    receiver.answer = (response) => response.writeHead(410).end();
    await gateway.sink.publish(noticeFor(tenant));
    const failed = await deliveryWhen(gateway, endpoint, ({ status }) => status === 'failed', 'it is given up');
    expect(failed).toMatchObject({ attempts: 1, lastResult: 'HTTP 410' });
    expect((await gateway.service.get(endpoint.id, tenant)).enabled).toBe(false);
    await gateway.sink.publish(noticeFor(tenant));
    expect(await gateway.service.deliveries(endpoint.id, tenant)).toHaveLength(1);
    receiver.answer = (response) => response.writeHead(200).end();
    expect(await gateway.service.update(endpoint.id, tenant, { name: 'again' })).toMatchObject({ enabled: true });
    await gateway.sink.publish(noticeFor(tenant));
    await until(() => receiver.received.length === 2, 'it is delivered again');
  });

  test('can be sent again, under the same id', async () => {
    const { endpoint } = await create();
    const notice = noticeFor(tenant);
    await gateway.sink.publish(notice);
    const first = await deliveryWhen(gateway, endpoint, ({ status }) => status === 'delivered', 'it is delivered');
    expect(await gateway.service.redeliver(endpoint.id, tenant, first.id)).toMatchObject({ status: 'pending' });
    await deliveryWhen(gateway, endpoint, ({ attempts }) => attempts === 2, 'it is delivered again');
    expect(receiver.received.map(({ headers }) => headers['webhook-id'])).toEqual([notice.id, notice.id]);
    const unknown = gateway.service.redeliver(endpoint.id, tenant, 'whd_unknown');
    await expect(unknown).rejects.toMatchObject({ code: 'webhook_not_found', param: 'delivery_id' });
  });

  test('of a test is sent at once, tells how it went, and is never tried again', async () => {
    const { endpoint } = await create();
    expect(await gateway.service.test(endpoint.id, tenant, 'batch.expired')).toMatchObject({ status: 'delivered' });
    expect(JSON.parse(receiver.received[0]?.body ?? '')).toMatchObject({ object: 'event', type: 'batch.expired' });
    receiver.answer = (response) => response.writeHead(500).end();
    expect(await gateway.service.test(endpoint.id, tenant, 'batch.expired')).toMatchObject({
      status: 'failed',
      lastResult: 'HTTP 500',
      nextAttemptAtEpochMs: null,
    });
    expect(await gateway.service.deliveries(endpoint.id, tenant)).toHaveLength(2);
  });

  test('has a log of the newest 100', async () => {
    const { endpoint } = await create();
    for (let index = 0; index < 105; index += 1) await gateway.sink.publish(noticeFor(tenant));
    await until(() => receiver.received.length === 105, 'all are delivered');
    const log = await gateway.service.deliveries(endpoint.id, tenant);
    expect(log).toHaveLength(100);
    expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size).toBe(105);
  });

  test('is forgotten with its endpoint', async () => {
    const { endpoint } = await create();
    receiver.answer = (response) => response.writeHead(500).end();
    await gateway.sink.publish(noticeFor(tenant));
    await deliveryWhen(gateway, endpoint, ({ attempts }) => attempts === 1, 'it is tried');
    await gateway.service.delete(endpoint.id, tenant);
    expect(await gateway.service.list(tenant)).toEqual([]);
    expect(await gateway.command.keys(`*${endpoint.id}*`)).toEqual([]);
    expect(blobs.keys.filter((key) => key.includes(endpoint.id))).toEqual([]);
  });
});

describe('receivers', () => {
  test('that hang do not delay others', async () => {
    const healthy = await startReceiver();
    receiver.answer = () => undefined;
    const prefix = `${redis.prefix}-hanging`;
    const own = await openGateway({ url: redis.url, prefix, settings: { timeoutMs: 600_000 } });
    const fields = { name: 'hook', eventTypes: ['batch.completed'] } as const;
    await own.service.create(tenant, { ...fields, url: receiver.url });
    for (let index = 0; index < 200; index += 1) await own.sink.publish(noticeFor(tenant));
    await own.service.create(tenant, { ...fields, url: healthy.url });
    for (let index = 0; index < 20; index += 1) await own.sink.publish(noticeFor(tenant));
    await until(() => healthy.received.length === 20, 'the healthy one has all');
    // It was given some of the time there is, and has not answered once.
    expect(receiver.received).toHaveLength(8);
    await own.stop();
    await healthy.close();
  });
});

describe('several gateways', () => {
  test('deliver each notice once', async () => {
    const second = await openGateway({ url: redis.url, prefix: redis.prefix, blobs });
    await create();
    const published = Array.from({ length: 60 }, () => noticeFor(tenant));
    await Promise.all(published.flatMap((notice) => [gateway.sink.publish(notice), second.sink.publish(notice)]));
    await until(() => receiver.received.length >= 60, 'all are delivered');
    await second.stop();
    const got = receiver.received.map(({ headers }) => headers['webhook-id']);
    expect(got.toSorted()).toEqual(published.map(({ id }) => id).toSorted());
  });

  test('take over what a dead one held', async () => {
    const prefix = `${redis.prefix}-dead`;
    const first = await openGateway({ url: redis.url, prefix, blobs });
    await first.service.create(tenant, { name: 'hook', url: receiver.url, eventTypes: ['batch.completed'] });
    receiver.answer = () => undefined;
    const notice = noticeFor(tenant);
    await first.sink.publish(notice);
    await until(() => receiver.received.length === 1, 'the first one is at it');
    first.vanish();
    receiver.answer = (response) => response.writeHead(204).end();
    const second = await openGateway({ url: redis.url, prefix, blobs });
    await until(() => receiver.received.length === 2, 'the second one has taken over');
    expect(receiver.received.map(({ headers }) => headers['webhook-id'])).toEqual([notice.id, notice.id]);
    await second.stop();
    await first.close().catch(() => undefined);
  });
});

describe('a restart in the middle of the schedule', () => {
  test('of Redis and of the gateway leaves the next attempt where it was', async () => {
    const own = await startDedicatedRedis();
    const options = { prefix: 'own', blobs };
    const first = await openGateway({ ...options, url: own.url });
    const { endpoint } = await first.service.create(tenant, {
      name: 'hook',
      url: receiver.url,
      eventTypes: ['batch.completed'],
    });
    receiver.answer = (response) => response.writeHead(500).end();
    await first.sink.publish(noticeFor(tenant));
    const tried = await deliveryWhen(first, endpoint, ({ attempts }) => attempts === 1, 'it is tried');
    expect((tried.nextAttemptAtEpochMs ?? 0) - (tried.lastAttemptAtEpochMs ?? 0)).toBeGreaterThanOrEqual(5_000);
    await first.stop();
    await own.kill();
    await own.restart();
    receiver.answer = (response) => response.writeHead(200).end();
    const second = await openGateway({ ...options, url: own.url });
    const done = await deliveryWhen(second, endpoint, ({ status }) => status === 'delivered', 'it is delivered');
    expect(done.attempts).toBe(2);
    expect(done.lastAttemptAtEpochMs).toBeGreaterThanOrEqual(tried.nextAttemptAtEpochMs ?? 0);
    await second.stop();
  });
});
