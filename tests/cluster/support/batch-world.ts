import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { onTestFinished } from 'vitest';
import { type FlakyProxy, startFlakyProxy } from '../../support/flaky-proxy.ts';
import { MOTO_CREDENTIALS, startMoto } from '../../support/moto.ts';
import { type DedicatedRedis, startDedicatedRedis } from '../../support/redis.ts';
import type { TestNamespace } from './namespace.ts';
import { type Pilotlight, startPilotlight } from './pilotlight.ts';

const BUCKET = 'pilotlight';
const REGION = 'us-east-1';

/** Several gateways and controllers on one bucket and one Redis, with a way to make the bucket fail. */
export interface BatchWorld {
  readonly namespace: TestNamespace;
  readonly redis: DedicatedRedis;
  readonly s3: FlakyProxy;
  readonly gateways: Pilotlight[];
  readonly controllers: Pilotlight[];
  start(role: 'gateway' | 'controller'): Promise<Pilotlight>;
}

/** Starts it; everything ends with the test. */
export async function openBatchWorld(
  namespace: TestNamespace,
  counts: { readonly gateways: number; readonly controllers: number },
): Promise<BatchWorld> {
  const [redis, moto] = await Promise.all([startDedicatedRedis(), startMoto()]);
  onTestFinished(() => moto.stop());
  await createBucket(moto.endpoint);
  const s3 = await startFlakyProxy(moto.endpoint);
  onTestFinished(() => s3.close());
  let started = 0;
  const start = (role: 'gateway' | 'controller'): Promise<Pilotlight> => {
    started += 1;
    const storage = { kind: 's3', s3: { bucket: BUCKET, endpoint: s3.endpoint, region: REGION, pathStyle: true } };
    const env = {
      AWS_ACCESS_KEY_ID: MOTO_CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: MOTO_CREDENTIALS.secretAccessKey,
    };
    const identity = `${role}-${started}-of-batches`;
    return startPilotlight({ namespace, redisUrl: redis.url, role, identity, settings: { storage }, env });
  };
  const many = (role: 'gateway' | 'controller', count: number) =>
    Promise.all(Array.from({ length: count }, () => start(role)));
  const [gateways, controllers] = await Promise.all([
    many('gateway', counts.gateways),
    many('controller', counts.controllers),
  ]);
  return { namespace, redis, s3, gateways, controllers, start };
}

async function createBucket(endpoint: string): Promise<void> {
  const client = new S3Client({ endpoint, region: REGION, forcePathStyle: true, credentials: MOTO_CREDENTIALS });
  try {
    await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  } finally {
    client.destroy();
  }
}
