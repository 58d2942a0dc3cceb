import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { fetchResults, type SubmittedJob, submitJobs } from '../support/job-client.ts';
import { findMoto, MOTO_CREDENTIALS, startMoto } from '../support/moto.ts';
import { poolYaml } from '../support/pool-yaml.ts';
import { startDedicatedRedis } from '../support/redis.ts';
import { prepareServe } from '../support/serve-process.ts';
import { until } from '../support/until.ts';

/** A checkout of the earlier release, with its node_modules: git worktree add FOLDER COMMIT. */
const OLDER = process.env['PILOTLIGHT_TEST_OLDER_TREE'];
const found = await findMoto();
const BUCKET = 'upgrade';

test.skipIf(OLDER === undefined || found.kind === 'missing')(
  'the earlier release and this one share Redis and store: every job is answered once, before and after the earlier one went',
  async () => {
    const moto = await startMoto();
    onTestFinished(() => moto.stop());
    const credentials = { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' };
    const s3 = { endpoint: moto.endpoint, region: 'us-east-1', forcePathStyle: true, credentials: MOTO_CREDENTIALS };
    const admin = new S3Client(s3);
    await admin.send(new CreateBucketCommand({ Bucket: BUCKET }));
    admin.destroy();
    const redis = await startDedicatedRedis();
    const yaml = poolYaml({
      sim: ['--speed=8'],
      keepWarm: '30s',
      settings: { storage: { kind: 's3', s3: { bucket: BUCKET, endpoint: moto.endpoint, pathStyle: true } } },
    });
    const environment = { ...credentials, PILOTLIGHT_REDIS_URL: redis.url };
    const older = await prepareServe(yaml, { environment, tree: OLDER });
    const newer = await prepareServe(yaml, { environment });
    await older.start();
    const first = await submitJobs(older.apiUrl, { count: 20, objective: 'nightly' });
    await newer.start();
    const second = await submitJobs(newer.apiUrl, { count: 20, objective: 'nightly' });
    const third = await submitJobs(older.apiUrl, { count: 20, objective: 'nightly' });
    await older.stop();
    const fourth = await submitJobs(newer.apiUrl, { count: 20, objective: 'nightly' });

    const jobs: readonly SubmittedJob[] = [...first, ...second, ...third, ...fourth];
    const open = async () => {
      const outcomes = await fetchResults(newer.apiUrl, jobs);
      return outcomes.filter(({ text, expected }) => text !== expected);
    };
    let left = await open();
    await until(async () => (left = await open()).length === 0, 'all jobs are answered', 60_000).catch(() => undefined);
    expect(left.map(({ id, status }) => `${jobs.findIndex((job) => job.id === id)} ${status}`)).toEqual([]);
    await until(async () => (await newer.pool()).objectives.every(({ stored }) => stored === 0), 'nothing is left');
    expect(jobs.length).toBe(80);
    const client = new Redis(redis.url);
    onTestFinished(() => client.disconnect());
    const leftOver = async () => {
      const keys = await client.keys('*}:order:*');
      return keys.filter((key) => !/:order:(outcome|upgrade):/.test(key));
    };
    await until(async () => (await leftOver()).length === 0, 'the order of the earlier release is gone', 30_000);
  },
);
