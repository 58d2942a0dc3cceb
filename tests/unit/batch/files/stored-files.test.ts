import { beforeEach, describe, expect, test } from 'vitest';
import { PilotlightError } from '../../../../src/core/errors.ts';
import type { StoredFile } from '../../../../src/core/files.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { chunks, type FileWorld, openFileWorld, textOf } from '../../../support/file-world.ts';

const HOUR = 3_600_000;
const never = new AbortController().signal;
const ALL = { limit: 100, after: null, purpose: null, order: 'desc' as const };

let clock: FakeClock;
let world: FileWorld;
beforeEach(() => {
  clock = new FakeClock();
  world = openFileWorld(clock);
});

interface Wanted {
  readonly tenant?: string;
  readonly filename?: string;
  readonly purpose?: string;
  readonly expiresAfterMs?: number | null;
}

async function keep(text: string | Uint8Array = '{}\n', wanted: Wanted = {}): Promise<StoredFile> {
  const { tenant = 'acme', filename = 'a.jsonl', purpose = 'batch', expiresAfterMs = null } = wanted;
  const spool = await world.files.receive(tenant, chunks(text), never);
  return spool.commit({ tenant, filename, purpose, expiresAfterMs });
}

const output = (id = 'file-batch1-output') => ({ id, tenant: 'acme', filename: 'out.jsonl', expiresAfterMs: null });
const listed = async (tenant = 'acme') => (await world.files.list(tenant, ALL)).items.map(({ id }) => id);

describe('a file', () => {
  test('is what was sent, with the SHA-256 of its content', async () => {
    const file = await keep('hello\n');
    expect(file).toMatchObject({
      bytes: 6,
      expiresAtEpochMs: clock.epochMs() + 720 * HOUR,
      etag: '5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03',
    });
    expect(await world.files.get(file.id, 'acme')).toEqual(file);
    expect(await textOf(world.files.read(file))).toBe('hello\n');
    expect(await textOf(world.files.read(file, { firstByte: 1, lastByte: 2 }))).toBe('el');
  });

  test('of another purpose than batch may be anything, and stays', async () => {
    const file = await keep(Uint8Array.of(0xff, 0xfe), { filename: 'picture.png', purpose: 'vision' });
    expect(file.expiresAtEpochMs).toBeNull();
  });

  test.each([
    ['an unknown purpose', '{}', { purpose: 'fun' }, 'invalid_value', 'purpose'],
    ['the purpose of outputs', '{}', { purpose: 'batch_output' }, 'invalid_value', 'purpose'],
    ['a wrong extension', '{}', { filename: 'a.json' }, 'invalid_file', 'file'],
    ['no extension', '{}', { filename: 'tickets' }, 'invalid_file', 'file'],
    ['a name of 256 characters', '{}', { filename: `${'x'.repeat(250)}.jsonl` }, 'invalid_value', 'filename'],
    ['no name', '{}', { filename: '\u0000 ' }, 'invalid_value', 'filename'],
    ['nothing in it', '', {}, 'invalid_file', 'file'],
    ['UTF-8 that is torn at its end', Uint8Array.of(0x61, 0xe2, 0x82), {}, 'invalid_file', 'file'],
    ['UTF-16', Buffer.from('{"a":1}', 'utf16le').fill(0xff, 0, 1), {}, 'invalid_file', 'file'],
    ['a life of a minute', '{}', { expiresAfterMs: 60_000 }, 'invalid_value', 'expires_after.seconds'],
    ['too many bytes for a batch', 'x'.repeat(2_000), {}, 'file_too_large', 'file'],
  ])('with %s is refused, and nothing of it stays', async (_name, content, wanted, code, param) => {
    world = openFileWorld(clock, { batchFileBytes: 1_000 });
    await expect(keep(content, wanted)).rejects.toMatchObject({ code, param });
    expect(world.store.keys).toEqual([]);
    expect(await listed()).toEqual([]);
  });

  test('may have no extension where the settings say so, and one in capitals', async () => {
    world = openFileWorld(clock, { fileExtensions: ['.jsonl', ''] });
    await keep('{}', { filename: 'tickets' });
    await keep('{}', { filename: 'TICKETS.JSONL' });
    expect(await listed()).toHaveLength(2);
  });

  test('that is too large is not read to its end', async () => {
    world = openFileWorld(clock, { fileBytes: 100 });
    let sent = 0;
    async function* endless(): AsyncIterable<Uint8Array> {
      for (;;) {
        sent += 10;
        yield await Promise.resolve(Buffer.alloc(10));
      }
    }
    await expect(world.files.receive('acme', endless(), never)).rejects.toMatchObject({ code: 'file_too_large' });
    expect(sent).toBe(110);
    expect(world.store.keys).toEqual([]);
    expect(world.receiving()).toBe(0);
  });

  test('whose sender breaks off leaves nothing', async () => {
    async function* broken(): AsyncIterable<Uint8Array> {
      yield await Promise.resolve(Buffer.from('half'));
      throw new PilotlightError('request_cancelled', 'left');
    }
    await expect(world.files.receive('acme', broken(), never)).rejects.toMatchObject({ code: 'request_cancelled' });
    expect([world.store.keys, world.receiving()]).toEqual([[], 0]);
  });

  test('that is not committed is discarded', async () => {
    const spool = await world.files.receive('acme', chunks('{}'), never);
    await spool.discard();
    await spool.discard();
    expect(world.store.keys).toEqual([]);
    const kept = await world.files.receive('acme', chunks('{}'), never);
    await kept.commit({ tenant: 'acme', filename: 'a.jsonl', purpose: 'batch', expiresAfterMs: null });
    await kept.discard();
    expect(world.store.keys).toHaveLength(2);
  });

  test('is one also when the index does not hear of it', async () => {
    const spool = await world.files.receive('acme', chunks('{}'), never);
    const add = world.index.add.bind(world.index);
    world.index.add = () => Promise.reject(new PilotlightError('queue_unavailable', 'away'));
    const file = await spool.commit({ tenant: 'acme', filename: 'a.jsonl', purpose: 'batch', expiresAfterMs: null });
    world.index.add = add;
    expect(await world.files.get(file.id, 'acme')).toEqual(file);
    await world.sweep.sweep(never);
    expect(await listed()).toEqual([file.id]);
  });

  test('is not taken from a tenant that keeps too many, or too much', async () => {
    world = openFileWorld(clock, { tenantFiles: 2, tenantBytes: 10 });
    const first = await keep('12345678');
    await expect(keep('123')).rejects.toMatchObject({
      code: 'files_full',
      message: expect.stringContaining('10B') as string,
    });
    await keep('12');
    await expect(keep('1')).rejects.toMatchObject({
      code: 'files_full',
      message: expect.stringContaining('2 files') as string,
    });
    await keep('1', { tenant: 'other' });
    await world.files.delete(first.id, 'acme');
    await keep('123');
  });

  test('is given up when the room runs out while it comes', async () => {
    async function* large(): AsyncIterable<Uint8Array> {
      world.store.free = 10_000;
      yield await Promise.resolve(Buffer.alloc(1_000));
      world.store.free = 10;
      for (;;) yield await Promise.resolve(Buffer.alloc(10_000_000));
    }
    world = openFileWorld(clock, { fileBytes: 1_000_000_000 });
    await expect(world.files.receive('acme', large(), never)).rejects.toMatchObject({ code: 'store_full' });
    expect(world.store.keys).toEqual([]);
  });
});

describe('files that end', () => {
  test('are unknown from that moment on, and removed by the sweep', async () => {
    const short = await keep('{}', { expiresAfterMs: HOUR });
    const long = await keep('{}');
    await clock.advance(HOUR);
    await expect(world.files.get(short.id, 'acme')).rejects.toMatchObject({ code: 'file_not_found' });
    expect(await listed()).toEqual([long.id]);
    expect(await world.sweep.sweep(never)).toEqual({ files: 1, spools: 0, uploads: 0 });
    expect(world.store.keys.filter((key) => key.includes(short.id))).toEqual([]);
    expect(await world.index.totals('acme')).toEqual({ files: 1, bytes: 2 });
  });

  test('stay while a batch that is not finished reads them', async () => {
    const file = await keep('{}', { expiresAfterMs: HOUR });
    world.unfinished.add('batch_1');
    await world.cabinet.hold(file.id, 'batch_1');
    await clock.advance(5 * HOUR);
    await world.sweep.sweep(never);
    expect(await world.cabinet.get(file.id, 'acme')).toEqual(file);
    await world.cabinet.release(file.id, 'batch_1');
    expect(await world.sweep.sweep(never)).toMatchObject({ files: 1 });
    expect(world.store.keys).toEqual([]);
  });

  test('are not kept by a batch that has ended and forgot them', async () => {
    const file = await keep('{}', { expiresAfterMs: HOUR });
    await world.cabinet.hold(file.id, 'batch_1');
    await clock.advance(2 * HOUR);
    await world.sweep.sweep(never);
    expect(world.store.keys).toEqual([]);
  });
});

describe('deleting a file', () => {
  test('removes all of it; a second time it is unknown', async () => {
    const file = await keep();
    await expect(world.files.delete(file.id, 'other')).rejects.toMatchObject({ code: 'file_not_found' });
    await world.files.delete(file.id, 'acme');
    expect(world.store.keys).toEqual([]);
    await expect(world.files.delete(file.id, 'acme')).rejects.toMatchObject({ code: 'file_not_found' });
  });

  test('is refused while a batch reads it', async () => {
    const file = await keep();
    await world.cabinet.hold(file.id, 'batch_1');
    await expect(world.files.delete(file.id, 'acme')).rejects.toMatchObject({ code: 'file_in_use', httpStatus: 409 });
    expect(await listed()).toEqual([file.id]);
    await world.cabinet.release(file.id, 'batch_1');
    await world.files.delete(file.id, 'acme');
  });

  test('is refused by a batch that takes it at that very moment: one of the two wins', async () => {
    const file = await keep();
    world.store.fault = async (operation, key) => {
      if (operation !== 'delete' || key !== `files/${file.id}.json`) return;
      world.store.fault = () => undefined;
      await world.cabinet.hold(file.id, 'batch_1');
    };
    await expect(world.files.delete(file.id, 'acme')).rejects.toMatchObject({ code: 'file_in_use' });
    expect(await textOf(world.files.read(await world.files.get(file.id, 'acme')))).toBe('{}\n');
    expect(await listed()).toEqual([file.id]);
  });

  test('that the store fails may be repeated, and the file is listed until then', async () => {
    const file = await keep();
    world.store.fault = (operation) => {
      if (operation === 'delete') throw new PilotlightError('store_unavailable', 'No answer.');
    };
    await expect(world.files.delete(file.id, 'acme')).rejects.toMatchObject({ code: 'store_unavailable' });
    world.store.fault = () => undefined;
    expect(await listed()).toEqual([file.id]);
    await world.files.delete(file.id, 'acme');
    expect(await listed()).toEqual([]);
  });

  test('cannot be held afterwards', async () => {
    const file = await keep();
    await world.files.delete(file.id, 'acme');
    await expect(world.cabinet.hold(file.id, 'batch_1')).rejects.toMatchObject({ code: 'file_not_found' });
    expect(world.store.keys).toEqual([]);
  });
});

describe('output files', () => {
  test('are made once under their id, however often that is tried', async () => {
    const first = await world.cabinet.createOutput(output(), chunks('one\n'), never);
    expect(first).toMatchObject({ purpose: 'batch_output', expiresAtEpochMs: clock.epochMs() + 720 * HOUR });
    expect(await world.cabinet.createOutput(output(), chunks('two\n'), never)).toEqual(first);
    expect(await textOf(world.files.read(first))).toBe('one\n');
    expect(await listed()).toEqual([first.id]);
  });

  test('have no limit of size or number, as their work was accepted', async () => {
    world = openFileWorld(clock, { fileBytes: 3, tenantBytes: 3, tenantFiles: 1, uploadsAtOnce: 1 });
    await keep('{}');
    expect(await world.cabinet.createOutput(output(), chunks('a long line\n'), never)).toMatchObject({ bytes: 12 });
  });

  test('that expired before their batch ended are made again, with their full time', async () => {
    const short = { ...output(), expiresAfterMs: HOUR };
    await world.cabinet.createOutput(short, chunks('one\n'), never);
    await clock.advance(2 * HOUR);
    const again = await world.cabinet.createOutput(short, chunks('one\n'), never);
    expect(again.expiresAtEpochMs).toBe(clock.epochMs() + HOUR);
    expect(await textOf(world.files.read(await world.files.get(again.id, again.tenant)))).toBe('one\n');
    expect(await listed()).toEqual([again.id]);
  });

  test('that broke off are made again', async () => {
    world.store.fault = (operation, key) => {
      if (operation === 'put' && key.endsWith('.json')) throw new PilotlightError('store_unavailable', 'No answer.');
    };
    await expect(world.cabinet.createOutput(output(), chunks('one\n'), never)).rejects.toThrow();
    world.store.fault = () => undefined;
    expect(await textOf(world.files.read(await world.cabinet.createOutput(output(), chunks('one\n'), never)))).toBe(
      'one\n',
    );
  });
});

describe('the list of files', () => {
  test('is read from the store again when Redis has lost it', async () => {
    const made: string[] = [];
    for (let n = 0; n < 1_200; n += 1) {
      made.push((await keep(String(n))).id);
      await clock.advance(1);
    }
    world.index.lose();
    expect(await listed('nobody')).toEqual([]);
    const page = await world.files.list('acme', { ...ALL, limit: 1_000 });
    expect(page.hasMore).toBe(true);
    const rest = await world.files.list('acme', { ...ALL, limit: 1_000, after: page.items.at(-1)!.id });
    expect([...page.items, ...rest.items].map(({ id }) => id)).toEqual(made.reverse());
  });

  test('outlives a document that nobody can read', async () => {
    const file = await keep();
    const spoilt = await keep();
    world.store.blobs.get(`files/${spoilt.id}.json`)!.bytes = Buffer.from('{');
    world.index.lose();
    expect(await listed()).toEqual([file.id]);
  });

  test('is not waited for longer than some seconds', async () => {
    await keep();
    world.index.lose();
    const release = Promise.withResolvers<undefined>();
    world.store.fault = (operation) => (operation === 'list' ? release.promise : undefined);
    const list = world.files.list('acme', ALL);
    const refused = expect(list).rejects.toMatchObject({ code: 'store_unavailable', retryAfterMs: 5_000 });
    await clock.advance(10_000);
    await refused;
    release.resolve(undefined);
    world.store.fault = () => undefined;
    expect(await listed()).toHaveLength(1);
    expect(clock.sleeping).toBe(0);
  });

  test('does not begin after a file that never was', async () => {
    await keep();
    const list = world.files.list('acme', { ...ALL, after: 'file-never' });
    await expect(list).rejects.toMatchObject({ code: 'invalid_value', param: 'after' });
  });
});

describe('the sweep', () => {
  test('removes content that never became a file, once it is old', async () => {
    await world.files.receive('acme', chunks('{}'), never);
    const file = await keep();
    expect(await world.sweep.sweep(never)).toMatchObject({ spools: 0 });
    await clock.advance(HOUR);
    expect(await world.sweep.sweep(never)).toMatchObject({ spools: 1 });
    expect(world.store.keys).toEqual([`files/${file.id}.data`, `files/${file.id}.json`]);
  });

  test('goes on after a failure, and is ended by its signal', async () => {
    const ending = new AbortController();
    world.store.fault = () => {
      throw new PilotlightError('store_unavailable', 'No answer.');
    };
    const running = world.sweep.run(ending.signal);
    await clock.advance(HOUR);
    world.store.fault = () => undefined;
    await clock.advance(HOUR);
    expect(await world.index.isComplete()).toBe(true);
    ending.abort();
    await running;
  });
});
