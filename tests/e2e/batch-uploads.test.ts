import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { batchRows, rowsFile } from '../support/batch-rows.ts';
import { batchOf, type Caller, callerOf, endedBatch, sendFile, type Told } from '../support/batch-tenants.ts';
import { poolYaml } from '../support/pool-yaml.ts';
import { prepareServe, type ServeProcess } from '../support/serve-process.ts';
import { until } from '../support/until.ts';

/** Senders and readers that are slow, wrong, huge or gone, against one running program. */

const MIB = 1_048_576;

let serve: ServeProcess;
const call: Caller = callerOf(() => serve.apiUrl, 'none');

beforeAll(async () => {
  const settings = { batches: { uploadsAtOnce: 4, uploadLifetime: '3s' } };
  const yaml = poolYaml({ sim: ['--speed=20'], settings }).replace('{drain: 20s}', '{drain: 20s, clientStall: 2s}');
  serve = await prepareServe(yaml, { atEnd: afterAll });
  await serve.start();
});

const idOf = ({ body }: Told) => (body as { id: string }).id;

function problemOf({ status, body, noRetry }: Told): string {
  const { error } = body as { error: { code: string | null; param: string | null } };
  return `${status} ${error.code} ${error.param}${noRetry ? ' no-retry' : ''}`;
}

async function residentBytes(): Promise<number> {
  const status = await readFile(`/proc/${serve.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1_024;
}

const BOUNDARY = 'b0undary';
const FILE_HEAD = `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n`;
const FORM_END = `\r\n--${BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--${BOUNDARY}--\r\n`;

test('half a gigabyte without a line break: taken in and refused in bounded memory', async () => {
  const before = await residentBytes();
  let most = 0;
  const sending = request(`${serve.apiUrl}/v1/files`, {
    method: 'POST',
    headers: { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` },
  });
  const answered = once(sending, 'response') as Promise<[AsyncIterable<Buffer> & { statusCode: number }]>;
  sending.write(FILE_HEAD);
  const block = Buffer.alloc(MIB, 'x');
  for (let sent = 0; sent < 512; sent += 1) {
    if (!sending.write(block)) await once(sending, 'drain');
    if (sent % 64 === 0) most = Math.max(most, await residentBytes());
  }
  sending.end(FORM_END);
  const [answer] = await answered;
  const { id } = JSON.parse(Buffer.concat(await Array.fromAsync(answer)).toString()) as { id: string };
  const batch = await endedBatch(call, idOf(await call('POST', '/batches', { json: batchOf(id) })));
  most = Math.max(most, await residentBytes());
  expect(batch.errors?.data?.map(({ code }) => code)).toEqual(['row_too_large']);
  expect(most - before).toBeLessThan(150 * MIB);
  expect((await call('DELETE', `/files/${id}`)).status).toBe(200);
});

describe('an upload in parts', () => {
  const content = Buffer.from(rowsFile(batchRows(2)));
  const halves = [content.subarray(0, 100), content.subarray(100)] as const;
  const md5 = createHash('md5').update(content).digest('hex');

  const open = async (bytes = content.byteLength) =>
    idOf(
      await call('POST', '/uploads', {
        json: { filename: 'rows.jsonl', purpose: 'batch', bytes, mime_type: 'application/jsonl' },
      }),
    );
  const send = (id: string, bytes: Uint8Array) => {
    const form = new FormData();
    form.append('data', new Blob([bytes]), 'part');
    return call('POST', `/uploads/${id}/parts`, { body: form });
  };
  const complete = (id: string, json: object) => call('POST', `/uploads/${id}/complete`, { json });

  test('is put together in the order of the list, whatever was sent first, or twice; refusals before leave it open', async () => {
    const id = await open();
    const second = idOf(await send(id, halves[1]));
    const first = idOf(await send(id, halves[0]));
    const firstAgain = idOf(await send(id, halves[0]));
    expect(problemOf(await complete(id, { part_ids: [first] }))).toBe('400 invalid_value bytes');
    expect(problemOf(await complete(id, { part_ids: [first, first] }))).toBe('400 invalid_value part_ids');
    expect(problemOf(await complete(id, { part_ids: [first, 'part_x'] }))).toBe('400 invalid_value part_ids');
    expect(problemOf(await complete(id, { part_ids: [second, first], md5 }))).toBe('400 invalid_value md5');
    expect(problemOf(await complete(id, { part_ids: [] }))).toBe('400 invalid_value part_ids');

    const part_ids = [firstAgain, second];
    const done = await complete(id, { part_ids, md5 });
    expect(done.body).toMatchObject({ status: 'completed', file: { bytes: content.byteLength } });
    expect(await complete(id, { part_ids, md5 })).toEqual(done);
    expect(problemOf(await complete(id, { part_ids: [first, second] }))).toBe('409 upload_closed upload_id no-retry');
    expect(problemOf(await send(id, halves[0]))).toBe('409 upload_closed upload_id no-retry');
    const { file } = done.body as { file: { id: string } };
    expect((await call('GET', `/files/${file.id}/content`)).body).toBe(content.toString());
    const batch = await endedBatch(call, idOf(await call('POST', '/batches', { json: batchOf(file.id) })));
    expect(batch.request_counts).toEqual({ total: 2, completed: 2, failed: 0 });
  });

  test('with a character across two parts is UTF-8 in one order only', async () => {
    const id = await open(2);
    const [lead, trail] = [idOf(await send(id, Buffer.from([0xc3]))), idOf(await send(id, Buffer.from([0xa9])))];
    expect(problemOf(await complete(id, { part_ids: [trail, lead] }))).toBe('400 invalid_file file');
    expect((await complete(id, { part_ids: [lead, trail] })).status).toBe(200);
  });

  test('that takes too long is expired and takes nothing more', async () => {
    const id = await open();
    const part = idOf(await send(id, content));
    const hasExpired = async () =>
      ((await call('GET', `/uploads/${id}`)).body as { status: string }).status === 'expired';
    await until(hasExpired, 'its time is over');
    expect(problemOf(await send(id, content))).toBe('409 upload_closed upload_id no-retry');
    expect(problemOf(await complete(id, { part_ids: [part] }))).toBe('409 upload_closed upload_id no-retry');
  });

  test('completed and cancelled at the same moment is one of both', async () => {
    const id = await open();
    const part = idOf(await send(id, content));
    const both = await Promise.all([
      complete(id, { part_ids: [part] }),
      call('POST', `/uploads/${id}/cancel`, { json: {} }),
    ]);
    expect(both.map(({ status }) => status).sort()).toEqual([200, 409]);
  });
});

test('senders that stall have their share of the places, and are given up', async () => {
  const { hostname, port } = new URL(serve.apiUrl);
  const head = `POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\ncontent-type: multipart/form-data; boundary=${BOUNDARY}\r\n\r\n`;
  const stalled = Array.from({ length: 4 }, () => {
    const socket = connect(Number(port), hostname);
    socket.write(`${head}${FILE_HEAD}{`);
    return socket;
  });
  const answers = await Promise.all(stalled.map((socket) => once(socket, 'data') as Promise<[Buffer]>));
  const told = answers.map(([answer]) => /^HTTP\/1\.1 (\d+) [\s\S]*"code":"(\w+)"/.exec(answer.toString())?.slice(1));
  expect(told.map((parts) => parts?.join(' ')).sort()).toEqual([
    ...Array<string>(3).fill('408 request_timeout'),
    '429 uploads_full',
  ]);
  for (const socket of stalled) socket.destroy();
  expect((await sendFile(call, '{}\n')).status).toBe(200);
});

describe('a download', () => {
  const line = `${JSON.stringify({ text: 'é'.repeat(500) })}\n`;
  const content = line.repeat(20_000);
  let id = '';
  beforeAll(async () => {
    id = idOf(await sendFile(call, content));
  });
  const bytes = Buffer.byteLength(content);

  test.each([
    ['bytes=0-0', 206, 1],
    ['bytes=-1', 206, 1],
    [`bytes=-${bytes * 2}`, 206, bytes],
    [`bytes=${bytes - 1}-`, 206, 1],
    [`bytes=${bytes}-`, 416, null],
    ['bytes=-0', 416, null],
    ['bytes=5-2', 200, bytes],
    ['bytes=0-1,4-5', 200, bytes],
    ['lines=0-1', 200, bytes],
  ])('of %s answers %i', async (range, status, length) => {
    const answer = await fetch(`${serve.apiUrl}/v1/files/${id}/content`, { headers: { range } });
    expect(answer.status).toBe(status);
    const body = Buffer.from(await answer.arrayBuffer());
    if (length === null) expect(answer.headers.get('content-range')).toBe(`bytes */${bytes}`);
    else expect(body.byteLength).toBe(length);
  });

  test('that nobody reads on, or leaves, costs neither memory nor other readers', async () => {
    const before = await residentBytes();
    const { hostname, port } = new URL(serve.apiUrl);
    const slow = Array.from({ length: 30 }, () => {
      const socket = connect(Number(port), hostname);
      socket.on('error', () => undefined);
      socket.write(`GET /v1/files/${id}/content HTTP/1.1\r\nhost: x\r\n\r\n`);
      return socket;
    });
    await Promise.all(slow.map((socket) => once(socket, 'readable')));
    expect((await call('GET', `/files/${id}/content`)).body).toBe(content);
    expect((await residentBytes()) - before).toBeLessThan(150 * MIB);
    for (const socket of slow) socket.destroy();
    expect((await call('DELETE', `/files/${id}`)).status).toBe(200);
  });
});
