import { inspect } from 'node:util';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { BlobStore } from '../../../src/core/blobs.ts';
import type { Clock } from '../../../src/core/clock.ts';
import { type BlobStoreSettings, openBlobStore } from '../../../src/platform/blobs/open.ts';
import { S3BlobStore } from '../../../src/platform/blobs/s3/s3-blob-store.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { systemRandom } from '../../../src/platform/random.ts';
import { fastClock } from '../../support/fast-clock.ts';
import { brownOut, type FlakyProxy, type Mishap, startFlakyProxy } from '../../support/flaky-proxy.ts';
import { findMoto, type Moto, startMoto } from '../../support/moto.ts';
import { silentLogger } from '../../support/silent-logger.ts';
import { until } from '../../support/until.ts';

const MIB = 1_048_576;
const BUCKET = 'bad-days';
const SECRET = 'never-shown-0f3a91';
const PIECE = Buffer.alloc(65_536, 'x');
const found = await findMoto();

async function* bytes(count: number): AsyncGenerator<Uint8Array> {
  for (let done = 0; done < count; done += PIECE.byteLength)
    yield await Promise.resolve(PIECE.subarray(0, Math.min(PIECE.byteLength, count - done)));
}

async function sizeOf(source: AsyncIterable<Uint8Array> | null): Promise<number | null> {
  if (!source) return null;
  let size = 0;
  for await (const chunk of source) size += chunk.byteLength;
  return size;
}

async function keysOf(store: BlobStore): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list('')) keys.push(key);
  return keys;
}

describe.skipIf(found.kind === 'missing')('a bucket on bad days', () => {
  let moto: Moto;
  let proxy: FlakyProxy;
  let opened: BlobStore[];
  let installations = 0;

  beforeAll(async () => {
    process.env['AWS_ACCESS_KEY_ID'] = 'key-of-the-test';
    process.env['AWS_SECRET_ACCESS_KEY'] = SECRET;
    moto = await startMoto();
    const admin = new S3Client({ endpoint: moto.endpoint, region: 'us-east-1', forcePathStyle: true });
    await admin.send(new CreateBucketCommand({ Bucket: BUCKET }));
    admin.destroy();
  });
  afterAll(() => moto.stop());
  beforeEach(async () => {
    proxy = await startFlakyProxy(moto.endpoint);
    opened = [];
    installations += 1;
  });
  afterEach(async () => {
    proxy.misbehave(() => 'pass');
    for (const store of opened) await store.close();
    await proxy.close();
  });

  function openStore(clock: Clock, endpoint = proxy.endpoint): S3BlobStore {
    const settings = { bucket: BUCKET, prefix: `i${installations}/`, endpoint, region: 'us-east-1', pathStyle: true };
    const store = new S3BlobStore(settings, { clock, random: systemRandom });
    opened.push(store);
    return store;
  }

  function settingsFor(endpoint: string, bucket = BUCKET): BlobStoreSettings {
    const s3 = { bucket, prefix: '', endpoint, region: 'us-east-1', pathStyle: true };
    return { kind: 's3', dataDir: '/nowhere', installation: `i${installations}`, s3 };
  }

  const deps = (clock: Clock) => ({ clock, random: systemRandom, log: silentLogger });
  const only = (mishap: Mishap, method: string) => (request: { method: string }) =>
    request.method === method ? mishap : 'pass';

  test('half of the calls fail, and everything still arrives exactly once', { timeout: 120_000 }, async () => {
    proxy.misbehave(brownOut(0.5, 7));
    const store = openStore(fastClock(4));
    expect(await store.put('files/large', bytes(20 * MIB))).toEqual({ kind: 'stored', bytes: 20 * MIB });
    const created = await Promise.all(
      Array.from({ length: 12 }, (_, index) =>
        store.put(`batches/b/journal/${index % 4}`, bytes(100 + index), { ifAbsent: true }),
      ),
    );
    // A creation whose answer was lost finds its own object when it is repeated.
    expect(created.filter(({ kind }) => kind === 'stored')).toHaveLength(4);
    expect(await store.put('files/out', bytes(9 * MIB), { ifAbsent: true })).toMatchObject({ kind: 'stored' });
    expect(await sizeOf(await store.read('files/large'))).toBe(20 * MIB);
    const log = store.openLog('jobs/', { gatherMs: 0 });
    const places = [];
    for (let turn = 0; turn < 8; turn += 1) places.push(await log.append([Buffer.from(`record ${turn}`)]));
    for (const [turn, { key, offsetBytes, lengthBytes }] of places.entries()) {
      const range = { firstByte: offsetBytes, lastByte: offsetBytes + lengthBytes - 1 };
      expect(Buffer.from((await store.readAll(key, range)) ?? []).toString()).toBe(`record ${turn}`);
    }
    expect(await keysOf(store)).toHaveLength(2 + 4 + 8);
    await store.delete('files/large');
    expect(await store.info('files/large')).toBeNull();
    expect(proxy.mishaps).toBeGreaterThan(proxy.requests / 3);
  });

  test('an answer that stops in the middle is taken up again where it stopped', async () => {
    const store = openStore(fastClock(40));
    await store.put('files/a', bytes(3 * MIB));
    let gets = 0;
    proxy.misbehave(({ method }) => (method === 'GET' && (gets += 1) === 1 ? 'stall' : 'pass'));
    expect(await sizeOf(await store.read('files/a'))).toBe(3 * MIB);
    expect(gets).toBe(2);
  });

  test('an object that is replaced while it is read is an error, not a mixture', async () => {
    const store = openStore(fastClock(4));
    await store.put('files/a', bytes(3 * MIB));
    let gets = 0;
    proxy.misbehave(({ method }) => (method === 'GET' && (gets += 1) === 1 ? 'cut_body' : 'pass'));
    const source = (await store.read('files/a')) ?? bytes(0);
    await openStore(systemClock, moto.endpoint).put('files/a', bytes(3 * MIB + 1));
    await expect(sizeOf(source)).rejects.toMatchObject({ code: 'store_unavailable' });
  });

  test.each([
    { what: 'that is away', mishap: 'unavailable', code: 'store_unavailable', says: 'ServiceUnavailable' },
    { what: 'that cuts every connection', mishap: 'reset', code: 'store_unavailable', says: 'cannot be reached' },
    { what: 'that never answers', mishap: 'silent', code: 'store_unavailable', says: 'in time' },
    { what: 'that gives no right', mishap: 'denied', code: 'store_unavailable', says: 'credentials do not allow' },
    { what: 'that has no room', mishap: 'over_quota', code: 'store_full', says: 'quota' },
  ] as const)('a service $what ends in a clear error within its deadline', async ({ mishap, code, says }) => {
    const store = openStore(fastClock(100));
    proxy.misbehave(() => mishap);
    const message = expect.stringContaining(says) as string;
    await expect(store.put('files/a', bytes(10))).rejects.toMatchObject({ code, message });
    await expect(store.readAll('files/a')).rejects.toMatchObject({ code });
    await expect(keysOf(store)).rejects.toMatchObject({ code });
    await expect(store.openLog('jobs/').append([PIECE])).rejects.toMatchObject({ code: 'store_unavailable' });
  });

  test('an upload in parts that fails for good leaves no parts', { timeout: 60_000 }, async () => {
    const store = openStore(fastClock(20));
    proxy.misbehave(({ method, url }) => (method === 'PUT' && url.includes('partNumber=2') ? 'denied' : 'pass'));
    await expect(store.put('files/a', bytes(30 * MIB))).rejects.toMatchObject({ code: 'store_unavailable' });
    proxy.misbehave(() => 'pass');
    expect(await store.sweepUnfinished(-1)).toBe(0);
    expect(await keysOf(store)).toEqual([]);
  });

  test('a log whose answers are lost takes nothing until it works again, and shows nothing it did not promise', async () => {
    const store = openStore(fastClock(40));
    const log = store.openLog('jobs/', { gatherMs: 0 });
    await log.append([Buffer.from('promised')]);
    proxy.misbehave(only('lost_answer', 'PUT'));
    await expect(log.append([Buffer.from('never promised')])).rejects.toMatchObject({ code: 'store_unavailable' });
    expect(await keysOf(store)).toHaveLength(2);
    await expect(log.append([Buffer.from('refused')])).rejects.toMatchObject({ code: 'store_unavailable' });
    proxy.misbehave(() => 'pass');
    const takes = (text: string): Promise<boolean> =>
      log.append([Buffer.from(text)]).then(
        () => true,
        () => false,
      );
    await until(() => takes('after'), 'the log works again');
    const contents = [];
    for (const key of await keysOf(store)) contents.push(Buffer.from((await store.readAll(key)) ?? []).toString());
    expect(contents).toEqual(['promised', 'after']);
  });

  test('a service that ignores conditions is refused at start, with what to do', async () => {
    const forgetful = await startFlakyProxy(moto.endpoint, { dropHeaders: ['if-none-match'] });
    try {
      await expect(openBlobStore(settingsFor(forgetful.endpoint), deps(systemClock))).rejects.toMatchObject({
        code: 'config_invalid',
        message: expect.stringMatching(/ignores "If-None-Match.*storage\.kind "folder"/) as string,
      });
    } finally {
      await forgetful.close();
    }
  });

  test.each([
    { what: 'does not exist', bucket: 'no-such-bucket', mishap: 'pass', says: 'does not exist; create it' },
    { what: 'gives no rights', bucket: BUCKET, mishap: 'denied', says: 'credentials do not allow it' },
  ] as const)('a bucket that $what is refused at start, with what to do', async ({ bucket, mishap, says }) => {
    proxy.misbehave(() => mishap);
    await expect(openBlobStore(settingsFor(proxy.endpoint, bucket), deps(systemClock))).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining(says) as string,
    });
  });

  test.each([
    { what: 'away', mishap: 'unavailable', code: 'store_unavailable' },
    { what: 'full', mishap: 'over_quota', code: 'store_full' },
  ] as const)(
    'a service that is $what at start is asked again before the first write that depends on it',
    async (row) => {
      proxy.misbehave(() => row.mishap);
      const store = await openBlobStore(settingsFor(proxy.endpoint), deps(fastClock(100)));
      opened.push(store);
      await expect(store.put('a', bytes(1), { ifAbsent: true })).rejects.toMatchObject({ code: row.code });
      proxy.misbehave(() => 'pass');
      expect(await store.put('a', bytes(1), { ifAbsent: true })).toMatchObject({ kind: 'stored' });
      expect(await store.put('a', bytes(1), { ifAbsent: true })).toMatchObject({ kind: 'exists' });
      expect(await keysOf(store)).toEqual(['a']);
    },
  );

  test('credentials never reach an error', async () => {
    proxy.misbehave(() => 'denied');
    const failure = await openStore(systemClock)
      .put('files/a', bytes(1))
      .catch((error: unknown) => error as Error);
    expect(failure).toBeInstanceOf(Error);
    expect(inspect(failure, { depth: 20, showHidden: true })).not.toContain(SECRET);
  });
});
