import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { API_KEY, type Rig, startRig, until } from './rig.ts';

const CHAT = '/v1/chat/completions';
const MIB = 1_048_576;

let rig: Rig;
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await rig.close();
});

/** A chat body of exactly that size. */
function chatOf(sizeBytes: number): Buffer {
  const empty = JSON.stringify({ model: 'tiny', messages: [{ role: 'user', content: '' }] });
  return Buffer.from(empty.replace('""', `"${'a'.repeat(sizeBytes - empty.length)}"`));
}

interface RawAnswer {
  status: number;
  headers: Record<string, unknown>;
  text: string;
}

/** Sends a body over Node's own client, which keeps reading while it writes. */
function send(body: Buffer, headers: Record<string, string | number>): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const call = request(
      `${rig.url}${CHAT}`,
      {
        method: 'POST',
        headers: { authorization: `Bearer ${API_KEY}`, 'content-type': 'application/json', ...headers },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
      },
    );
    call.on('error', reject);
    call.end(body);
  });
}

describe('the limit of a body', () => {
  test('10 MiB are accepted to the byte and forwarded as they came', async () => {
    rig = await startRig();
    const body = chatOf(10 * MIB);
    expect((await send(body, { 'content-length': body.length })).status).toBe(200);
    expect(Buffer.from(rig.runner.requests[0]!.call.body).equals(body)).toBe(true);
  });

  test.each([
    { name: 'a byte more is refused by its length', headers: { 'content-length': 10 * MIB + 1 } },
    { name: 'a byte more is refused while it is read', headers: { 'transfer-encoding': 'chunked' } },
  ])('$name, and the connection ends', async ({ headers }) => {
    rig = await startRig();
    const answer = await send(chatOf(10 * MIB + 1), headers);
    expect(answer).toMatchObject({ status: 413, headers: { connection: 'close' } });
    expect(JSON.parse(answer.text)).toEqual({
      error: {
        message: 'The body is larger than 10Mi (limits.body).',
        type: 'invalid_request_error',
        param: 'body',
        code: 'body_too_large',
      },
    });
    await until(async () => (await rig.metric('pilotlight_ingress_held_bytes')) === 0, 'held bytes to be given back');
  });

  test('a client that waits for "100 Continue" is refused before it sends anything', async () => {
    rig = await startRig();
    const answer = await new Promise<string>((resolve) => {
      const socket = connect(Number(new URL(rig.url).port), '127.0.0.1');
      sockets.push(socket);
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk.toString();
        if (text.includes('body_too_large')) resolve(text);
      });
      socket.write(
        `POST ${CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${API_KEY}\r\ncontent-type: application/json\r\n` +
          `content-length: ${11 * MIB}\r\nexpect: 100-continue\r\n\r\n`,
      );
    });
    expect(answer).toMatch(/^HTTP\/1.1 413 /);
  });

  test('one within it is told to go on', async () => {
    rig = await startRig();
    const body = chatOf(2 * MIB);
    expect((await send(body, { 'content-length': body.length, expect: '100-continue' })).status).toBe(200);
  });
});

describe('a compressed body', () => {
  test.each([
    { encoding: 'gzip', compress: gzipSync },
    { encoding: 'deflate', compress: deflateSync },
    { encoding: 'br', compress: brotliCompressSync },
  ])('of $encoding is forwarded inflated', async ({ encoding, compress }) => {
    rig = await startRig();
    const body = chatOf(50_000);
    const answer = await send(compress(body), { 'content-encoding': encoding });
    expect(answer.status).toBe(200);
    expect(Buffer.from(rig.runner.requests[0]!.call.body).equals(body)).toBe(true);
  });

  test('that inflates beyond the limit is refused', async () => {
    rig = await startRig();
    const answer = await send(gzipSync(chatOf(40 * MIB)), { 'content-encoding': 'gzip' });
    expect(answer).toMatchObject({ status: 413, text: expect.stringContaining('10Mi') as string });
  });
});

describe('a flood', () => {
  test('of bodies stays within the byte budget, with clear refusals, and passes when the calls end', async () => {
    rig = await startRig({ settings: { maxHeldBytes: 16 * MIB } });
    rig.runner.script = (_request, _sink, { signal }) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
    const body = chatOf(4 * MIB);
    const refused: RawAnswer[] = [];
    const calls = Array.from({ length: 20 }, () =>
      send(body, { 'content-length': body.length }).then(
        (answer) => refused.push(answer),
        () => undefined,
      ),
    );
    await until(() => refused.length === 16, 'all but four calls to be refused');
    for (const answer of refused) {
      expect(answer).toMatchObject({ status: 429, headers: { 'retry-after': '1' } });
      expect(JSON.parse(answer.text)).toMatchObject({
        error: {
          code: 'held_bytes_full',
          type: 'rate_limit_error',
          message: expect.stringContaining('16Mi') as string,
        },
      });
    }
    expect(await rig.metric('pilotlight_ingress_held_bytes')).toBe(16 * MIB);
    expect(await rig.metric('pilotlight_ingress_held_limit_bytes')).toBe(16 * MIB);
    await rig.close();
    await Promise.all(calls);
    await until(async () => (await rig.metric('pilotlight_ingress_held_bytes')) === 0, 'held bytes to be given back');
    rig = await startRig();
  });

  test('of declared lengths reserves no more than the budget, though nothing was sent', async () => {
    rig = await startRig({ settings: { maxHeldBytes: 20 * MIB } });
    const open = (lengthBytes: number) => {
      const socket = connect(Number(new URL(rig.url).port), '127.0.0.1');
      sockets.push(socket);
      socket.write(
        `POST ${CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${API_KEY}\r\ncontent-type: application/json\r\ncontent-length: ${lengthBytes}\r\n\r\n{`,
      );
      return socket;
    };
    const first = open(9 * MIB);
    open(9 * MIB);
    await until(async () => (await rig.metric('pilotlight_ingress_held_bytes')) === 18 * MIB, 'two reservations');
    expect((await rig.post(CHAT, chatOf(3 * MIB).toString())).status).toBe(429);
    first.destroy();
    await until(async () => (await rig.metric('pilotlight_ingress_held_bytes')) === 9 * MIB, 'one reservation to end');
    expect((await rig.post(CHAT, chatOf(3 * MIB).toString())).status).toBe(200);
  });

  test('of calls is refused with the limit, and a slow one is timed out', async () => {
    rig = await startRig({ settings: { maxHeldCalls: 1 }, requestTimeoutMs: 500 });
    const slow = connect(Number(new URL(rig.url).port), '127.0.0.1');
    sockets.push(slow);
    let heard = '';
    slow.on('data', (chunk) => (heard += chunk.toString()));
    slow.write(
      `POST ${CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${API_KEY}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{`,
    );
    await until(async () => (await rig.metric('pilotlight_ingress_held_calls')) === 1, 'the slow call to be held');
    const refused = await rig.post(CHAT, chatOf(200).toString());
    expect(refused.status).toBe(429);
    expect(await refused.json()).toMatchObject({ error: { code: 'held_calls_full' } });
    await until(() => heard.includes('request_timeout'), 'the slow call to be timed out');
    expect(heard).toMatch(/^HTTP\/1.1 408 /);
    await until(async () => (await rig.metric('pilotlight_ingress_held_calls')) === 0, 'its place to be given back');
  });
});
