import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { PilotlightError } from '../../../../src/core/errors.ts';
import type { UploadView } from '../../../../src/core/files.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { chunks, type FileWorld, openFileWorld, textOf } from '../../../support/file-world.ts';
import { until } from '../../../support/until.ts';

const HOUR = 3_600_000;
const never = new AbortController().signal;

let clock: FakeClock;
let world: FileWorld;
beforeEach(() => {
  clock = new FakeClock();
  world = openFileWorld(clock);
});

interface Wanted {
  readonly purpose?: string;
  readonly filename?: string;
  readonly expiresAfterMs?: number | null;
}

function create(bytes: number, wanted: Wanted = {}): Promise<UploadView> {
  const declared = {
    tenant: 'acme',
    filename: 'a.jsonl',
    purpose: 'batch',
    mimeType: 'text/plain',
    expiresAfterMs: null,
  };
  return world.uploads.create({ ...declared, ...wanted, bytes });
}

const send = async (id: string, text: string | Uint8Array) =>
  (await world.uploads.addPart(id, 'acme', chunks(text), never)).id;
const complete = (id: string, partIds: readonly string[], md5: string | null = null) =>
  world.uploads.complete(id, 'acme', partIds, md5);

describe('an upload', () => {
  test('becomes a file of the parts that are listed, in that order; a part sent twice does no harm', async () => {
    const { id } = await create(9, { expiresAfterMs: 2 * HOUR });
    const [c, a, , b] = [await send(id, 'ghi'), await send(id, 'abc'), await send(id, 'def'), await send(id, 'def')];
    const { file, status } = await complete(id, [a, b, c]);
    expect([status, file?.bytes, file?.expiresAtEpochMs]).toEqual(['completed', 9, clock.epochMs() + 2 * HOUR]);
    expect(await textOf(world.files.read(file!))).toBe('abcdefghi');
    expect(await world.files.get(file!.id, 'acme')).toEqual(file);
    expect(world.store.keys.filter((key) => key.endsWith('.data'))).toHaveLength(3);
  });

  test('has another ETag when its content is another', async () => {
    const etags = new Set<string>();
    for (const parts of [['ab', 'c'], ['abd'], ['a', 'bc', ''].slice(0, 2)]) {
      const { id } = await create(3);
      const ids: string[] = [];
      for (const part of parts) ids.push(await send(id, part));
      etags.add((await complete(id, ids)).file!.etag);
    }
    expect(etags.size).toBe(3);
  });

  test('may be cut inside a character, and not inside the last', async () => {
    const bytes = Buffer.from('{"a":"€😀"}');
    for (let at = 1; at < bytes.length; at += 1) {
      const { id } = await create(bytes.length);
      const ids = [await send(id, bytes.subarray(0, at)), await send(id, bytes.subarray(at))];
      expect((await complete(id, ids)).status).toBe('completed');
    }
    const { id } = await create(bytes.length - 3);
    const ids = [await send(id, bytes.subarray(0, 3)), await send(id, bytes.subarray(3, -3))];
    await expect(complete(id, ids)).rejects.toMatchObject({ code: 'invalid_file' });
    expect((await world.uploads.get(id, 'acme')).status).toBe('pending');
  });

  test('is checked against its MD5', async () => {
    const { id } = await create(6);
    const [a, b] = [await send(id, 'abc'), await send(id, 'def')];
    const md5 = createHash('md5').update('abcdef').digest('hex');
    await expect(complete(id, [b, a], md5)).rejects.toMatchObject({ code: 'invalid_value', param: 'md5' });
    expect((await complete(id, [a, b], md5.toUpperCase())).status).toBe('completed');
  });

  test.each([
    ['a part that is not its own', 'part_ids', (own: readonly string[], other: string) => [...own, other]],
    ['a part that never was', 'part_ids', (own: readonly string[]) => [...own, 'part_x/../../upload']],
    ['a part twice', 'part_ids', ([a]: readonly string[]) => [a!, a!]],
    ['no part', 'part_ids', () => []],
    ['too few bytes', 'bytes', ([a]: readonly string[]) => [a!]],
  ])('is not completed with %s', async (_name, param, choose) => {
    const [one, other] = [await create(6), await create(3)];
    const own = [await send(one.id, 'abc'), await send(one.id, 'def')];
    const stranger = await send(other.id, 'abc');
    await expect(complete(one.id, choose(own, stranger))).rejects.toMatchObject({ code: 'invalid_value', param });
    expect((await complete(one.id, own)).status).toBe('completed');
  });

  test('completed again has the same answer, and nothing else is taken', async () => {
    const { id } = await create(3);
    const [a, b] = [await send(id, 'abc'), await send(id, 'def')];
    const done = await complete(id, [a]);
    expect(await complete(id, [a])).toEqual(done);
    await expect(complete(id, [b])).rejects.toMatchObject({ code: 'upload_closed' });
    await expect(send(id, 'x')).rejects.toMatchObject({ code: 'upload_closed' });
    await expect(world.uploads.cancel(id, 'acme')).rejects.toMatchObject({ code: 'upload_closed' });
  });

  test('completed half-way is completed by the next try', async () => {
    const { id } = await create(3);
    const a = await send(id, 'abc');
    world.store.fault = (operation, key) => {
      if (operation === 'put' && key.startsWith('files/')) throw new PilotlightError('store_unavailable', 'No answer.');
    };
    await expect(complete(id, [a])).rejects.toMatchObject({ code: 'store_unavailable' });
    world.store.fault = () => undefined;
    const { file } = await complete(id, [a]);
    expect(await textOf(world.files.read(await world.files.get(file!.id, 'acme')))).toBe('abc');
  });

  test('does not bring back a file that was deleted since', async () => {
    const { id } = await create(3);
    const a = await send(id, 'abc');
    const { file } = await complete(id, [a]);
    await world.files.delete(file!.id, 'acme');
    expect((await complete(id, [a])).status).toBe('completed');
    await expect(world.files.get(file!.id, 'acme')).rejects.toMatchObject({ code: 'file_not_found' });
  });

  test('cancelled is cancelled, as often as one likes', async () => {
    const { id } = await create(3);
    await send(id, 'abc');
    expect((await world.uploads.cancel(id, 'acme')).status).toBe('cancelled');
    expect((await world.uploads.cancel(id, 'acme')).status).toBe('cancelled');
    expect(world.store.keys.filter((key) => key.endsWith('.data'))).toEqual([]);
  });

  test('cancelled while a part comes keeps nothing of it', async () => {
    const { id } = await create(3);
    async function* slow(): AsyncIterable<Uint8Array> {
      yield Buffer.from('abc');
      await world.uploads.cancel(id, 'acme');
    }
    await expect(world.uploads.addPart(id, 'acme', slow(), never)).rejects.toMatchObject({ code: 'upload_closed' });
    expect(world.store.keys.filter((key) => key.endsWith('.data'))).toEqual([]);
  });

  test('not completed in its hour is expired, and swept', async () => {
    const { id } = await create(3);
    await send(id, 'abc');
    await clock.advance(HOUR);
    expect((await world.uploads.get(id, 'acme')).status).toBe('expired');
    await expect(send(id, 'x')).rejects.toMatchObject({ code: 'upload_closed' });
    await expect(complete(id, [])).rejects.toMatchObject({ code: 'upload_closed' });
    await world.sweep.sweep(never);
    expect(world.store.keys.filter((key) => key.endsWith('.data'))).toEqual([]);
    expect((await world.uploads.get(id, 'acme')).status).toBe('expired');
    await clock.advance(25 * HOUR);
    expect(await world.sweep.sweep(never)).toMatchObject({ uploads: 1 });
    expect(world.store.keys).toEqual([]);
  });

  test('keeps its parts while the file lives, and is swept after it', async () => {
    const { id } = await create(3);
    const { file } = await complete(id, [await send(id, 'abc')]);
    await clock.advance(48 * HOUR);
    await world.sweep.sweep(never);
    expect(await textOf(world.files.read(file!))).toBe('abc');
    await world.files.delete(file!.id, 'acme');
    await world.sweep.sweep(never);
    expect(world.store.keys).toEqual([]);
  });

  test('of another tenant is unknown', async () => {
    const { id } = await create(3);
    const part = await send(id, 'abc');
    const unknown = { code: 'upload_not_found' };
    await expect(world.uploads.get(id, 'other')).rejects.toMatchObject(unknown);
    await expect(world.uploads.addPart(id, 'other', chunks('x'), never)).rejects.toMatchObject(unknown);
    await expect(world.uploads.complete(id, 'other', [part], null)).rejects.toMatchObject(unknown);
    await expect(world.uploads.cancel(id, 'other')).rejects.toMatchObject(unknown);
    await expect(world.uploads.get('upload_never', 'acme')).rejects.toMatchObject(unknown);
  });

  test.each([
    ['too large', 10_000_001, {}, 'file_too_large'],
    ['with a wrong name', 3, { filename: 'a.txt' }, 'invalid_file'],
    ['for nothing known', 3, { purpose: 'fun' }, 'invalid_value'],
    ['kept for a minute', 3, { expiresAfterMs: 60_000 }, 'invalid_value'],
  ])('that is %s is not begun', async (_name, bytes, wanted, code) => {
    await expect(create(bytes, wanted)).rejects.toMatchObject({ code });
    expect(world.store.keys).toEqual([]);
  });

  test('is not begun when it would not fit', async () => {
    world.store.free = 1_002;
    await expect(create(3)).rejects.toMatchObject({ code: 'store_full' });
  });
});

describe('a part', () => {
  test('that is empty or too large is refused', async () => {
    const { id } = await create(3);
    await expect(send(id, '')).rejects.toMatchObject({ code: 'invalid_file' });
    await expect(send(id, Buffer.alloc(1_000_001))).rejects.toMatchObject({ code: 'file_too_large' });
    expect(world.store.keys).toEqual([`uploads/${id}/upload.json`]);
  });

  test('is not taken for ever', async () => {
    world = openFileWorld(clock, { uploadPartBytes: 100 });
    const { id } = await create(50);
    for (let n = 0; n < 3; n += 1) await send(id, 'x'.repeat(100));
    await expect(send(id, 'x')).rejects.toMatchObject({ code: 'file_too_large' });
  });

  test('takes the place of one file being received', async () => {
    world = openFileWorld(clock, { uploadsAtOnce: 1 });
    const { id } = await create(3);
    async function* holding(): AsyncIterable<Uint8Array> {
      yield Buffer.from('abc');
      await expect(send(id, 'abc')).rejects.toMatchObject({ code: 'uploads_full' });
      await expect(world.files.receive('acme', chunks('x'), never)).rejects.toMatchObject({ code: 'uploads_full' });
    }
    await world.uploads.addPart(id, 'acme', holding(), never);
    await send(id, 'abc');
  });

  test('does not keep other tenants from sending: some places are not for one alone', async () => {
    world = openFileWorld(clock, { uploadsAtOnce: 4 });
    const held = Promise.withResolvers<undefined>();
    async function* slow(): AsyncIterable<Uint8Array> {
      yield Buffer.from('x');
      await held.promise;
    }
    const receive = (tenant: string) => world.files.receive(tenant, slow(), never);
    const slowOnes = [receive('acme'), receive('acme'), receive('acme')];
    await until(() => world.receiving() === 3, 'three senders');
    await expect(receive('acme')).rejects.toMatchObject({ code: 'uploads_full' });
    slowOnes.push(receive('other'));
    await until(() => world.receiving() === 4, 'the other one');
    await expect(receive('third')).rejects.toMatchObject({ code: 'uploads_full' });
    held.resolve(undefined);
    await Promise.all(slowOnes);
    expect(world.receiving()).toBe(0);
    await world.files.receive('acme', chunks('x'), never);
  });
});
