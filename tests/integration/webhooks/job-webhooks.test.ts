import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EQUAL_TENANTS } from '../../../src/core/tenants.ts';
import { FolderBlobStore } from '../../../src/platform/blobs/folder/folder-blob-store.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { createRedis, whenReady } from '../../../src/platform/redis/connection.ts';
import { BullmqBacklog } from '../../../src/queue/adapters/bullmq/bullmq-backlog.ts';
import { shareConnection } from '../../../src/queue/adapters/bullmq/shared-backend.ts';
import { RedisChannels } from '../../../src/queue/adapters/job-index/channels.ts';
import { RedisJobHints } from '../../../src/queue/adapters/job-index/redis-job-hints.ts';
import { RedisJobIndex } from '../../../src/queue/adapters/job-index/redis-job-index.ts';
import { RedisOutboxClaims } from '../../../src/queue/adapters/job-index/redis-outbox-claims.ts';
import { BlobJobStore } from '../../../src/queue/adapters/job-store/blob-job-store.ts';
import { poolHashTag, RedisLedgerStore } from '../../../src/queue/adapters/ledger/redis-ledger-store.ts';
import type { Execute } from '../../../src/queue/jobs/ports.ts';
import { StoredWork } from '../../../src/queue/jobs/stored-work.ts';
import { PoolLiveOrder } from '../../../src/queue/live-order/pool-live-order.ts';
import { publishJobEnds } from '../../../src/webhooks/job-ends.ts';
import { startDedicatedRedis } from '../../support/redis.ts';
import { silentLogger } from '../../support/silent-logger.ts';
import { COMPLETED, jobSpec, POOL, smallCatalog, TENANT } from '../../support/stored-world.ts';
import { until } from '../../support/until.ts';
import { startReceiver, type WebhookReceiver } from '../../support/webhook-receiver.ts';
import { openGateway } from '../../support/webhook-rig.ts';

/** From the end of a job to the receiver, with the real ledger, store, queue and HTTP. */
const BODY = Buffer.from('{"model":"chat"}');
const PREFIX = 'job-webhooks';

let folder: string;
let receiver: WebhookReceiver;
let closers: (() => Promise<unknown>)[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pilotlight-webhooks-'));
  receiver = await startReceiver();
  closers = [];
});
afterEach(async () => {
  for (const close of closers.reverse()) await close();
  await receiver.close();
  await rm(folder, { recursive: true, force: true });
});

async function openProcess(url: string, owner: string) {
  const random = { next: () => Math.random() };
  const blobs = new FolderBlobStore(join(folder, 'test'), { clock: systemClock, random });
  const webhooks = await openGateway({ url, prefix: PREFIX, blobs });
  const { command } = webhooks;
  const subscriber = createRedis({ url, purpose: 'subscriber', log: silentLogger });
  await whenReady(subscriber, 20_000);
  const keys = { keyPrefix: `${PREFIX}:`, installation: 'test', pool: POOL };
  const ledger = new PoolLiveOrder({
    store: new RedisLedgerStore({ command, subscriber, ...keys }),
    pool: POOL,
    owner,
    clock: systemClock,
    log: silentLogger,
  });
  const channels = new RedisChannels(subscriber);
  const root = `${PREFIX}:${poolHashTag('test', POOL)}`;
  const connection = await shareConnection(command);
  const backlog = new BullmqBacklog({ pool: POOL, root, client: command, connection, channels, log: silentLogger });
  const store = new BlobJobStore({}, { blobs, log: silentLogger });
  const execute: Execute = async ({ spec, attempt, place }) => {
    const end = { outcome: COMPLETED, contentType: 'application/json', finishedAtEpochMs: Date.now() };
    const ref = await store.append({ kind: 'result', jobId: spec.id, attempt, job: place, ...end }, Buffer.from('{}'));
    await ledger.settle(spec.id, spec.objective, COMPLETED, ref);
    return { kind: 'settled', outcome: COMPLETED };
  };
  const work = new StoredWork({
    store,
    index: new RedisJobIndex(command, PREFIX),
    hints: new RedisJobHints(command, channels, PREFIX),
    outboxClaims: new RedisOutboxClaims(command, PREFIX),
    catalog: { current: smallCatalog, onChange: () => () => undefined },
    tenants: EQUAL_TENANTS,
    advisor: { retryAfterMs: () => 1_000 },
    execute,
    clock: systemClock,
    log: silentLogger,
    retentionMs: 3_600_000,
  });
  work.announceTo('webhook', publishJobEnds(work.jobs, webhooks.sink));
  work.addPool({ ledger, backlog });
  work.start();
  closers.push(async () => {
    await work.stop(2_000);
    await backlog.close();
    await ledger.close();
    await webhooks.stop();
    await store.close();
    await blobs.close();
    subscriber.disconnect();
  });
  return { work, ledger, webhooks };
}

function delivered(): string[] {
  return receiver.received.map(({ body }) => (JSON.parse(body) as { data: { id: string } }).data.id);
}

test('each end is delivered once, by two gateways; what Redis forgets altogether is told again', async () => {
  const redis = await startDedicatedRedis();
  const first = await openProcess(redis.url, 'gateway-a');
  await openProcess(redis.url, 'gateway-b');
  const fields = { name: 'hook', url: receiver.url, eventTypes: ['pilotlight.job.ended'] } as const;
  const { endpoint } = await first.webhooks.service.create(TENANT, fields);
  await first.ledger.setEndpoints([{ id: 'pod-a', slots: 8, adapters: null }]);
  await first.ledger.setGate('pod-a', 'open');

  const ids = Array.from({ length: 50 }, (_, index) => `job-${index}x`);
  const announce = { kind: 'webhook' } as const;
  await Promise.all(ids.map((id) => first.work.jobs.submit(jobSpec(id, { announce }), BODY)));
  await first.work.jobs.submit(jobSpec('job-silent'), BODY);
  await until(() => delivered().length >= ids.length, 'all ends are delivered');
  await until(async () => (await first.ledger.outbox(100)).length === 0, 'the outbox is empty');
  expect(delivered().toSorted()).toEqual(ids.toSorted());
  // What is noted only after the loss is known to have been delivered, and not told again.
  const areNoted = async () => {
    const log = await first.webhooks.service.deliveries(endpoint.id, TENANT);
    return log.length === ids.length && log.every(({ status }) => status === 'delivered');
  };
  await until(areNoted, 'every delivery is noted');

  await first.webhooks.command.flushall();
  await until(() => delivered().length >= 2 * ids.length, 'all ends are told again', 60_000);
  expect([...new Set(delivered())].sort()).toEqual(ids.toSorted());
  const messages = new Set(receiver.received.map(({ headers }) => headers['webhook-id']));
  expect(messages.size).toBe(ids.length);
}, 120_000);
