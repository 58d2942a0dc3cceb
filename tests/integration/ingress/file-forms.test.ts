import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { FileLimits } from '../../../src/batch/policy/files/file-rules.ts';
import { PilotlightError } from '../../../src/core/errors.ts';
import type { IngressSettings } from '../../../src/ingress/settings.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { type FileWorld, openFileWorld } from '../../support/file-world.ts';
import { FakeBatches } from '../../unit/ingress/support/fake-batches.ts';
import { API_KEY, type Rig, startRig, until } from './rig.ts';

/** Forms as no SDK writes them, and clients that break off, stall or send too much. */

const BOUNDARY = 'b0undary';
const FORM = `multipart/form-data; boundary=${BOUNDARY}`;

let rig: Rig;
let world: FileWorld;

async function start(limits: Partial<FileLimits> = {}, settings: Partial<IngressSettings> = {}): Promise<void> {
  world = openFileWorld(systemClock, limits);
  rig = await startRig({
    settings,
    requestTimeoutMs: 1_000,
    batchApi: {
      files: world.files,
      uploads: world.uploads,
      batches: new FakeBatches(),
      settings: { windows: ['24h'], fileBytes: limits.fileBytes ?? 10_000_000, uploadPartBytes: 1_000_000 },
    },
  });
}
beforeEach(() => start());
afterEach(() => rig.close());

function field(name: string, value: string): string {
  return `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
}

function filePart(text: string, filename: string | null = 'a.jsonl'): string {
  const named = filename === null ? '' : `; filename="${filename}"`;
  return `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"${named}\r\nContent-Type: application/octet-stream\r\n\r\n${text}\r\n`;
}

const END = `--${BOUNDARY}--\r\n`;
const WHOLE = field('purpose', 'batch') + filePart('{}\n') + END;

async function sent(body: string | ReadableStream, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${rig.url}/v1/files`, {
    method: 'POST',
    headers: { authorization: `Bearer ${API_KEY}`, 'content-type': FORM, ...headers },
    body,
    duplex: 'half',
  });
}

async function errorOf(answer: Response) {
  const { error } = (await answer.json()) as { error: { code: string; param: string | null; message: string } };
  return { status: answer.status, code: error.code, param: error.param, message: error.message };
}

async function nothingIsLeft(): Promise<void> {
  await until(() => world.receiving() === 0 && world.store.unfinished === 0, 'the end of receiving');
  expect(world.store.keys).toEqual([]);
}

describe('a form', () => {
  test.each([
    ['fields first', WHOLE],
    ['file first', filePart('{}\n') + field('purpose', 'batch') + END],
    ['text before and after', `preamble\r\n${WHOLE}epilogue`],
    [
      'a file between fields',
      field('purpose', 'batch') +
        filePart('{}\n') +
        field('expires_after[seconds]', '3600') +
        field('expires_after[anchor]', 'created_at') +
        END,
    ],
    ['fields that nobody knows', field('colour', 'blue') + WHOLE],
  ])('is read with %s', async (_name, body) => {
    const answer = await sent(body);
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ bytes: 3, filename: 'a.jsonl', purpose: 'batch' });
  });

  test('is read whatever pieces it comes in', async () => {
    for (const size of [1, 2, 7, 31]) {
      const bytes = Buffer.from(WHOLE);
      const pieces = new ReadableStream({
        async start(controller) {
          for (let at = 0; at < bytes.length; at += size) {
            controller.enqueue(bytes.subarray(at, at + size));
            await new Promise((resolve) => setImmediate(resolve));
          }
          controller.close();
        },
      });
      expect(await (await sent(pieces)).json()).toMatchObject({ bytes: 3 });
    }
  });

  test.each([
    ['no file', field('purpose', 'batch') + END, 'missing_required_parameter', 'file'],
    ['no purpose', filePart('{}') + END, 'missing_required_parameter', 'purpose'],
    ['an unknown purpose', field('purpose', 'fun') + filePart('{}') + END, 'invalid_value', 'purpose'],
    ['a file without a name', field('purpose', 'batch') + filePart('{}', null) + END, 'invalid_value', 'file'],
    ['two files', filePart('{}') + WHOLE, 'invalid_value', 'body'],
    ['a field twice', field('purpose', 'batch') + WHOLE, 'invalid_value', 'body'],
    [
      'a field without a name',
      `--${BOUNDARY}\r\nContent-Disposition: form-data\r\n\r\nx\r\n${WHOLE}`,
      'invalid_value',
      'body',
    ],
    [
      'too many fields',
      Array.from({ length: 30 }, (_, n) => field(`f${n}`, 'x')).join('') + WHOLE,
      'invalid_value',
      'body',
    ],
    ['a field that is too long', field('purpose', 'x'.repeat(5_000)) + WHOLE, 'invalid_value', 'body'],
    ['no end', field('purpose', 'batch') + filePart('{}'), 'invalid_value', 'body'],
    [
      'a file that ends in the middle',
      `${field('purpose', 'batch')}${filePart('{}').slice(0, -3)}`,
      'invalid_value',
      'body',
    ],
    ['nothing in it', '', 'invalid_value', 'body'],
    [
      'an expiry of a minute',
      field('expires_after[anchor]', 'created_at') + field('expires_after[seconds]', '60') + WHOLE,
      'integer_below_min_value',
      'expires_after[seconds]',
    ],
    [
      'an expiry that is no number',
      field('expires_after[anchor]', 'created_at') + field('expires_after[seconds]', 'soon') + WHOLE,
      'invalid_type',
      'expires_after[seconds]',
    ],
    [
      'an expiry without its anchor',
      field('expires_after[seconds]', '3600') + WHOLE,
      'missing_required_parameter',
      'expires_after[anchor]',
    ],
    ['a name of folders only', field('purpose', 'batch') + filePart('{}', '../..') + END, 'invalid_value', 'file'],
  ])('with %s is refused, and leaves nothing behind', async (_name, body, code, param) => {
    expect(await errorOf(await sent(body))).toMatchObject({ status: 400, code, param });
    await nothingIsLeft();
  });

  test.each([
    ['no boundary', 'multipart/form-data', 400, 'invalid_value'],
    ['JSON', 'application/json', 415, 'unsupported_media_type'],
    ['a form of another kind', 'application/x-www-form-urlencoded', 415, 'unsupported_media_type'],
  ])('announced as %s is refused', async (_name, type, status, code) => {
    expect(await errorOf(await sent(WHOLE, { 'content-type': type }))).toMatchObject({
      status,
      code,
      param: 'content-type',
    });
    await nothingIsLeft();
  });

  test('that is compressed is refused', async () => {
    const answer = await errorOf(await sent(WHOLE, { 'content-encoding': 'gzip' }));
    expect(answer).toMatchObject({ status: 415, param: 'content-encoding' });
  });

  test('never makes a name into a path', async () => {
    const answer = await sent(field('purpose', 'user_data') + filePart('x', '../../etc/passwd') + END);
    expect(await answer.json()).toMatchObject({ filename: 'passwd' });
    expect(world.store.keys.every((key) => /^files\/file-[0-9a-f]+\.(data|json)$/.test(key))).toBe(true);
  });
});

describe('a sender', () => {
  function endless(): ReadableStream {
    const piece = Buffer.alloc(65_536, 97);
    let first = true;
    return new ReadableStream({
      pull(controller) {
        controller.enqueue(first ? Buffer.from(filePart('').slice(0, -2)) : piece);
        first = false;
      },
    });
  }

  test('of a file that has no end hears of the limit, and nothing is left', async () => {
    const answer = await errorOf(await sent(endless()));
    expect(answer).toMatchObject({ status: 400, code: 'file_too_large' });
    expect(answer.message).toBe('File is too large. The limit is 9.5Mi (batches.file).');
    await nothingIsLeft();
  });

  test('whose file the store gives up in the middle, and takes its time over it, hears why', async () => {
    world.store.put = async (_key, source) => {
      for await (const _ of source) break;
      for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      throw new PilotlightError('store_full', 'The disk is full.');
    };
    expect(await errorOf(await sent(endless()))).toMatchObject({ status: 507, code: 'store_full' });
    await nothingIsLeft();
  });

  test('that announces too much is refused before it sends', async () => {
    const heard = await new Promise<string>((resolve, reject) => {
      let text = '';
      const socket = connect(Number(new URL(rig.url).port), '127.0.0.1', () => {
        socket.write(
          `POST /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${API_KEY}\r\nContent-Type: ${FORM}\r\nContent-Length: 99000000\r\n\r\n`,
        );
      });
      socket.on('data', (chunk) => {
        text += chunk.toString();
        if (text.includes('file_too_large')) socket.destroy();
      });
      socket.on('close', () => resolve(text)).on('error', reject);
    });
    expect(heard).toMatch(/^HTTP\/1.1 400 /);
    await nothingIsLeft();
  });

  test('that takes longer than a call may goes on while its bytes come', async () => {
    const bytes = Buffer.from(WHOLE);
    const startedAtMs = performance.now();
    const slow = new ReadableStream({
      async pull(controller) {
        const late = performance.now() - startedAtMs > 2_500;
        controller.enqueue(late ? bytes.subarray(60) : bytes.subarray(0, 60));
        if (late) controller.close();
        // Past the time-out of requests, which is one second here.
        else await until(() => performance.now() - startedAtMs > 2_500, 'some time');
      },
    });
    expect((await sent(slow)).status).toBe(200);
  });

  test('that stalls is told so, and nothing is left', async () => {
    await rig.close();
    await start({}, { clientStallTimeoutMs: 200 });
    const stalling = new ReadableStream({
      start: (controller) => controller.enqueue(Buffer.from(WHOLE.slice(0, -20))),
    });
    const answer = await errorOf(await sent(stalling));
    expect(answer).toMatchObject({ status: 408, code: 'request_timeout' });
    await nothingIsLeft();
  });

  test('that leaves in the middle leaves nothing behind', async () => {
    const socket = connect(Number(new URL(rig.url).port), '127.0.0.1');
    socket.write(
      `POST /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${API_KEY}\r\nContent-Type: ${FORM}\r\nContent-Length: 900000\r\n\r\n${filePart('x'.repeat(70_000))}`,
    );
    await until(() => world.receiving() === 1, 'the upload');
    socket.destroy();
    await nothingIsLeft();
  });

  test('without a key is refused', async () => {
    const answer = await sent(WHOLE, { authorization: 'Bearer sk-wrong' });
    expect(await errorOf(answer)).toMatchObject({ status: 401, code: 'invalid_api_key' });
  });

  test('at a process that is shutting down is sent elsewhere', async () => {
    rig.readiness = { kind: 'draining', reason: 'SIGTERM' };
    expect(await errorOf(await sent(WHOLE))).toMatchObject({ status: 503, code: 'draining' });
  });

  test('of one more file than may be received at once is told to come back', async () => {
    await rig.close();
    await start({ uploadsAtOnce: 1 });
    const holding = new AbortController();
    const first = fetch(`${rig.url}/v1/files`, {
      method: 'POST',
      headers: { authorization: `Bearer ${API_KEY}`, 'content-type': FORM },
      body: new ReadableStream({ start: (controller) => controller.enqueue(Buffer.from(filePart('x'.repeat(100)))) }),
      duplex: 'half',
      signal: holding.signal,
    });
    first.catch(() => undefined);
    await until(() => world.receiving() === 1, 'the first upload');
    const answer = await sent(WHOLE);
    expect(answer.headers.get('retry-after-ms')).toBe('5000');
    expect(await errorOf(answer)).toMatchObject({ status: 429, code: 'uploads_full' });
    holding.abort();
    await nothingIsLeft();
    expect((await sent(WHOLE)).status).toBe(200);
  });

  test('meets a store that fails, and hears of it', async () => {
    world.store.fault = (operation) => {
      if (operation === 'put') throw new PilotlightError('store_unavailable', 'The store does not answer.');
    };
    const answer = await sent(WHOLE);
    expect(answer.headers.get('retry-after')).not.toBeNull();
    expect(await errorOf(answer)).toMatchObject({ status: 503, code: 'store_unavailable' });
  });

  test('meets a disk that is nearly full, and is not asked to try again', async () => {
    world.store.free = 999;
    const answer = await sent(WHOLE);
    expect(answer.headers.get('x-should-retry')).toBe('false');
    expect(await errorOf(answer)).toMatchObject({ status: 507, code: 'store_full' });
  });
});
