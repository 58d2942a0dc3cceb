import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { S3BlobStore } from '../../src/platform/blobs/s3/s3-blob-store.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { brownOut, type FlakyProxy, startFlakyProxy } from '../support/flaky-proxy.ts';
import { findMoto, MOTO_CREDENTIALS, type Moto, startMoto } from '../support/moto.ts';
import { useRedis } from '../support/redis.ts';
import { type StoredProcess, startStoredProcess } from '../support/stored-process.ts';
import { jobSpec, TENANT } from '../support/stored-world.ts';
import { until } from '../support/until.ts';

const BUCKET = 'jobs';
const BODY = Buffer.alloc(1_000, 'x');
const redis = useRedis();
const found = await findMoto();

describe.skipIf(found.kind === 'missing')('stored jobs of several gateways over one bucket', () => {
  let moto: Moto;
  let proxy: FlakyProxy;
  let gateways: StoredProcess[] = [];
  let stores: S3BlobStore[] = [];

  beforeAll(async () => {
    process.env['AWS_ACCESS_KEY_ID'] = MOTO_CREDENTIALS.accessKeyId;
    process.env['AWS_SECRET_ACCESS_KEY'] = MOTO_CREDENTIALS.secretAccessKey;
    moto = await startMoto();
    proxy = await startFlakyProxy(moto.endpoint);
    const admin = new S3Client({ endpoint: moto.endpoint, region: 'us-east-1', forcePathStyle: true });
    await admin.send(new CreateBucketCommand({ Bucket: BUCKET }));
    admin.destroy();
  });
  afterAll(async () => {
    await proxy.close();
    await moto.stop();
  });
  afterEach(async () => {
    proxy.misbehave(() => 'pass');
    for (const gateway of gateways) await gateway.stop();
    for (const store of stores) await store.close();
    gateways = [];
    stores = [];
  });

  async function openGateway(prefix: string): Promise<StoredProcess> {
    const settings = { bucket: BUCKET, prefix: `${prefix}/`, endpoint: proxy.endpoint, region: 'us-east-1' };
    const blobs = new S3BlobStore({ ...settings, pathStyle: true }, { clock: systemClock, random: systemRandom });
    stores.push(blobs);
    const gateway = await startStoredProcess({
      redisUrl: redis.url,
      prefix: `${redis.prefix}-${prefix}`,
      dataDir: '/nowhere',
      blobs,
      executionMs: 5,
    });
    gateways.push(gateway);
    return gateway;
  }

  async function submit(to: StoredProcess, count: number, name: string): Promise<string[]> {
    const ids = Array.from({ length: count }, (_, index) => `${name}-${index}`);
    const answers = await Promise.all(ids.map((id) => to.work.jobs.submit(jobSpec(id), BODY)));
    expect(answers.filter(({ kind }) => kind !== 'accepted')).toEqual([]);
    return ids;
  }

  async function expectResults(by: StoredProcess, ids: readonly string[]): Promise<void> {
    const isDone = async () => (await by.ledger.outcomes(ids)).every((outcome) => outcome !== null);
    await until(isDone, 'all finished', 60_000);
    for (const id of ids) {
      const result = await by.work.jobs.result(id, TENANT);
      expect(Buffer.from(result?.body ?? '').toString()).toBe(`answer to ${id}`);
    }
  }

  async function resultsPerJob(by: StoredProcess): Promise<number[]> {
    const counts = new Map<string, number>();
    for await (const { header } of by.store.scan()) {
      if (header.kind === 'result') counts.set(header.jobId, (counts.get(header.jobId) ?? 0) + 1);
    }
    return [...counts.values()];
  }

  test('what one accepts another runs, and a third fetches', async () => {
    const [intake, runner, reader] = [await openGateway('a'), await openGateway('a'), await openGateway('a')];
    const ids = await submit(intake, 60, 'job');
    runner.ledger.setWindows({ nightly: 8 });
    await expectResults(reader, ids);
    expect(await resultsPerJob(reader)).toEqual(ids.map(() => 1));
  });

  test('a flushed Redis is rebuilt from the bucket by a gateway that wrote nothing of it', {
    timeout: 60_000,
  }, async () => {
    const [first, second] = [await openGateway('b'), await openGateway('b')];
    const done = await submit(first, 30, 'done');
    second.ledger.setWindows({ nightly: 8 });
    await expectResults(first, done);
    second.ledger.setWindows({});
    const waiting = await submit(second, 20, 'waiting');
    await redis.client.flushdb();
    const third = await openGateway('b');
    await third.work.reconcile();
    for (const id of waiting) expect(await third.work.jobs.get(id, TENANT)).toMatchObject({ status: 'queued' });
    await expectResults(third, done);
    third.ledger.setWindows({ nightly: 8 });
    await expectResults(third, waiting);
    expect(await resultsPerJob(first)).toEqual([...done, ...waiting].map(() => 1));
  });

  test('while half of the calls fail every job is accepted and run once', { timeout: 90_000 }, async () => {
    const [intake, runner] = [await openGateway('c'), await openGateway('c')];
    proxy.misbehave(brownOut(0.5, 11));
    runner.ledger.setWindows({ nightly: 8 });
    const ids = await submit(intake, 40, 'job');
    await expectResults(intake, ids);
    expect(await resultsPerJob(intake)).toEqual(ids.map(() => 1));
    expect(proxy.mishaps).toBeGreaterThan(0);
  });
});
