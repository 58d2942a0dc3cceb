import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterAll, expect, test } from 'vitest';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { deliveryWhen, noticeFor, openGateway } from '../../support/webhook-rig.ts';

const EXAMPLE = new URL('../../../examples/webhook-receiver.mjs', import.meta.url).pathname;
const TENANT = 'team-a';

const redis = useRedis();
let receiver: ChildProcess | undefined;

afterAll(async () => {
  if (receiver?.exitCode !== null || receiver.signalCode !== null) return;
  receiver.kill('SIGKILL');
  await once(receiver, 'exit');
});

test('the receiver of the example takes what is ours, once, and nothing else', async () => {
  const gateway = await openGateway({ url: redis.url, prefix: redis.prefix });
  const lines: string[] = [];
  // The secret is known only once the endpoint is there, which needs the receiver's port: so the endpoint moves.
  const made = await gateway.service.create(TENANT, {
    name: 'example',
    url: 'http://127.0.0.1:9/',
    eventTypes: ['batch.completed'],
  });
  receiver = spawn(process.execPath, [EXAMPLE], {
    env: { PATH: process.env.PATH, PORT: '0', OPENAI_WEBHOOK_SECRET: made.signingSecret },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  createInterface({ input: receiver.stdout! }).on('line', (line) => lines.push(line));
  await until(() => lines.length === 1, 'it listens');
  const url = /http:\S+/.exec(lines[0] ?? '')?.[0] ?? '';
  await gateway.service.update(made.endpoint.id, TENANT, { url });

  const notice = noticeFor(TENANT);
  await gateway.sink.publish(notice);
  const delivery = await deliveryWhen(
    gateway,
    { id: made.endpoint.id, tenant: TENANT },
    ({ status }) => status === 'delivered',
    'it is delivered',
  );
  expect(delivery.lastResult).toBe('HTTP 204');
  await gateway.service.redeliver(made.endpoint.id, TENANT, delivery.id);
  const again = await deliveryWhen(
    gateway,
    { id: made.endpoint.id, tenant: TENANT },
    ({ attempts }) => attempts === 2,
    'it is delivered again',
  );
  expect(again.status).toBe('delivered');
  expect((await fetch(url, { method: 'POST', body: '{"type":"batch.completed"}' })).status).toBe(400);
  expect(lines.slice(1)).toEqual([`batch.completed ${notice.objectId}`]);
  await gateway.stop();
});
