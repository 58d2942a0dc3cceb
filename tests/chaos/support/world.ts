import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { onTestFinished } from 'vitest';
import type { JournalLine } from '../../../src/model-sim/adapters/call-journal.ts';
import type { TestNamespace } from '../../cluster/support/namespace.ts';
import { applyCrds, simPool } from '../../cluster/support/sim-pool.ts';
import { type FlakyProxy, startFlakyProxy } from '../../support/flaky-proxy.ts';
import { MOTO_CREDENTIALS, startMoto } from '../../support/moto.ts';
import { EngineFronts, FRONT_PORT } from './engine-fronts.ts';
import { NARROW } from './load.ts';
import { Member } from './member.ts';
import { type Access, RedisSet } from './redis-set.ts';
import { TcpProxy } from './tcp-proxy.ts';

const BUCKET = 'pilotlight';
const REGION = 'us-east-1';
/** Of whoever sends the batch. */
export const BATCH_KEY = 'sk-of-the-batch';
/** Short, so that what a fault has broken shows within the run. */
const TIMEOUTS = { idle: '6s', maxHold: '60s', maxStreamHold: '60s', drain: '20s' };

export interface WorldOptions {
  readonly gateways: number;
  readonly controllers: number;
  readonly engines: number;
  readonly slots: number;
  readonly redis: Access;
}

/** Everything that is started, and the handles by which it is hurt. */
export interface World {
  readonly folder: string;
  readonly namespace: TestNamespace;
  readonly slots: number;
  readonly redis: RedisSet;
  /** The store answers wrongly (`s3`), or slowly (`storeLink`). */
  readonly s3: FlakyProxy;
  readonly storeLink: TcpProxy;
  readonly engines: EngineFronts;
  readonly gateways: readonly Member[];
  readonly controllers: readonly Member[];
  journal(): Promise<readonly JournalLine[]>;
  /** Nothing hurts any more: frozen processes go on, dead ones are started, connections pass. */
  heal(): Promise<void>;
}

/** Starts it; everything ends with the test. Logs stay in `folder`. */
export async function openWorld(namespace: TestNamespace, folder: string, options: WorldOptions): Promise<World> {
  await mkdir(folder, { recursive: true });
  const journalFile = join(folder, 'engines.jsonl');
  const sim = ['--speed=2', `--journal=${journalFile}`];
  const poolOf = { slots: options.slots, maxReplicas: options.engines, sim, behaviour: { 'backoff-ms': '200' } };
  const [redis, moto] = await Promise.all([
    RedisSet.start(folder, options.redis),
    startMoto(),
    applyCrds(namespace.cluster).then(() => namespace.apply(simPool(poolOf).map(throughFronts))),
  ]);
  onTestFinished(() => redis.close());
  onTestFinished(() => moto.stop());
  await createBucket(moto.endpoint);
  const { port } = new URL(moto.endpoint);
  const storeLink = await TcpProxy.open({ host: '127.0.0.1', port: Number(port) });
  onTestFinished(() => storeLink.close());
  const s3 = await startFlakyProxy(`http://127.0.0.1:${storeLink.address.port}`);
  onTestFinished(() => s3.close());
  const engines = new EngineFronts(namespace);
  onTestFinished(() => engines.close());

  const storage = { kind: 's3', s3: { bucket: BUCKET, endpoint: s3.endpoint, region: REGION, pathStyle: true } };
  const env = {
    AWS_ACCESS_KEY_ID: MOTO_CREDENTIALS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: MOTO_CREDENTIALS.secretAccessKey,
  };
  const tenants = [
    { name: NARROW.name, keys: [hashOf(NARROW.apiKey)], quotas: { maxConcurrency: NARROW.maxConcurrency } },
    { name: 'batches', keys: [hashOf(BATCH_KEY)] },
  ];
  const settings = { storage, timeouts: TIMEOUTS, redis: redis.settings, tenants };
  const many = (role: 'gateway' | 'controller', count: number) =>
    Array.from({ length: count }, (_, index) => {
      const name = `${role}-${index + 1}`;
      return new Member({ namespace, folder, role, name, settings, env });
    });
  const [gateways, controllers] = [many('gateway', options.gateways), many('controller', options.controllers)];
  const members = [...gateways, ...controllers];
  await Promise.all(members.map((member) => member.start()));
  // What is frozen does not hear that it shall end.
  onTestFinished(() => members.forEach((member) => member.resume()));
  await Promise.all(gateways.map(({ process }) => process.untilModel('sim')));

  return {
    ...{ folder, namespace, slots: options.slots, redis, s3, storeLink, engines, gateways, controllers },
    async journal() {
      const text = await readFile(journalFile, 'utf8').catch(() => '');
      return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as JournalLine]));
    },
    async heal() {
      for (const member of members) member.resume();
      s3.misbehave(() => 'pass');
      storeLink.delayMs = 0;
      engines.hole('none');
      await redis.untilWhole();
      await Promise.all(members.map((member) => (member.isUp ? member.stepClock(0) : member.start())));
    },
  };
}

/** The pool's model servers are called through their fronts. */
function throughFronts(object: object): object {
  const { kind, spec } = object as { readonly kind: string; readonly spec: object };
  return kind === 'InferencePool' ? { ...object, spec: { ...spec, targetPorts: [{ number: FRONT_PORT }] } } : object;
}

function hashOf(apiKey: string): string {
  return `sha256:${createHash('sha256').update(apiKey).digest('hex')}`;
}

async function createBucket(endpoint: string): Promise<void> {
  const client = new S3Client({ endpoint, region: REGION, forcePathStyle: true, credentials: MOTO_CREDENTIALS });
  try {
    await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  } finally {
    client.destroy();
  }
}
