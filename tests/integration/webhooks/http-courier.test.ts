import OpenAI from 'openai';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Address, isPublicAddress } from '../../../src/webhooks/adapters/address-guard.ts';
import { HttpCourier, type HttpCourierOptions } from '../../../src/webhooks/adapters/http-courier.ts';
import { webhookIds } from '../../../src/webhooks/adapters/webhook-ids.ts';
import type { Parcel } from '../../../src/webhooks/ports.ts';
import { startReceiver, type WebhookReceiver } from '../../support/webhook-receiver.ts';

const NEVER = new AbortController().signal;
const ID = 'evt_batch_1';
const PAYLOAD = JSON.stringify({ id: ID, object: 'event', type: 'batch.completed', created_at: 1, data: { id: 'b' } });

let receiver: WebhookReceiver;

beforeAll(async () => {
  receiver = await startReceiver();
});
beforeEach(() => {
  (receiver.received as unknown[]).length = 0;
  receiver.answer = (response) => response.writeHead(204).end();
});
afterAll(() => receiver.close());

function courier(options: Partial<HttpCourierOptions> = {}): HttpCourier {
  const rules = { allowedHosts: [`127.0.0.1:${receiver.port}`], onlyAllowedHosts: false };
  return new HttpCourier({ rules, timeoutMs: 5_000, version: '0', ...options });
}

function parcel(fields: Partial<Parcel> = {}): Parcel {
  const secrets = [webhookIds.secret()];
  return { url: receiver.url, messageId: ID, payload: PAYLOAD, sentAtEpochMs: Date.now(), secrets, ...fields };
}

/** A resolver that answers each question with the next of these. */
function resolving(...answers: (readonly string[])[]) {
  const asked: string[] = [];
  const resolve = (host: string): Promise<readonly Address[]> => {
    const answer = answers[Math.min(asked.length, answers.length - 1)] ?? [];
    asked.push(host);
    return Promise.resolve(answer.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })));
  };
  return { asked, resolve };
}

describe('what is sent', () => {
  test('is verified by the official client, with any of the secrets that are valid', async () => {
    const [present, old] = [webhookIds.secret(), webhookIds.secret()];
    expect(await courier().send(parcel({ secrets: [present, old] }), NEVER)).toMatchObject({ status: 204 });
    const [got] = receiver.received;
    const client = new OpenAI({ apiKey: 'none' });
    const headers = got?.headers as Record<string, string>;
    for (const secret of [present, old]) {
      const event = await client.webhooks.unwrap(got?.body ?? '', headers, secret);
      expect(event).toEqual(JSON.parse(PAYLOAD));
    }
    await expect(client.webhooks.unwrap(got?.body ?? '', headers, webhookIds.secret())).rejects.toThrow();
    await expect(client.webhooks.unwrap(`${got?.body} `, headers, present)).rejects.toThrow();
  });

  test('carries the id of the message and the time of the attempt', async () => {
    await courier().send(parcel({ sentAtEpochMs: 1_700_000_000_999 }), NEVER);
    expect(receiver.received[0]).toMatchObject({
      method: 'POST',
      path: '/hook',
      body: PAYLOAD,
      headers: {
        'webhook-id': ID,
        'webhook-timestamp': '1700000000',
        'content-type': 'application/json; charset=utf-8',
      },
    });
  });
});

describe('a receiver that misbehaves', () => {
  test('a redirect is an answer like any other: nobody goes where it points', async () => {
    const inner = await startReceiver();
    receiver.answer = (response) => response.writeHead(307, { location: inner.url }).end();
    expect(await courier().send(parcel(), NEVER)).toEqual({ kind: 'answered', status: 307, retryAfterMs: null });
    expect(inner.received).toEqual([]);
    await inner.close();
  });

  test('one that accepts and never answers costs the timeout', async () => {
    receiver.answer = () => undefined;
    expect(await courier({ timeoutMs: 100 }).send(parcel(), NEVER)).toEqual({ kind: 'timeout' });
  });

  test('one that dribbles its headers costs the timeout', async () => {
    let dribble: NodeJS.Timeout | undefined;
    receiver.answer = (response) => {
      response.socket?.write('HTTP/1.1 200 OK\r\n');
      dribble = setInterval(() => response.socket?.write('x: y\r\n'), 20);
    };
    expect(await courier({ timeoutMs: 200 }).send(parcel(), NEVER)).toEqual({ kind: 'timeout' });
    clearInterval(dribble);
  });

  test('one that dribbles its body has answered, and is not listened to', async () => {
    let dribble: NodeJS.Timeout | undefined;
    receiver.answer = (response) => {
      response.writeHead(200).flushHeaders();
      dribble = setInterval(() => response.write('x'), 20);
    };
    expect(await courier({ timeoutMs: 60_000 }).send(parcel(), NEVER)).toMatchObject({ status: 200 });
    clearInterval(dribble);
  });

  test('a huge answer is cut off after 64 KiB', async () => {
    let written = 0;
    receiver.answer = (response) => {
      response.writeHead(200);
      const chunk = Buffer.alloc(65_536);
      const pour = () => {
        while (!response.destroyed && written < 1e9) {
          written += chunk.length;
          if (!response.write(chunk)) return void response.once('drain', pour);
        }
      };
      pour();
    };
    expect(await courier().send(parcel(), NEVER)).toMatchObject({ status: 200 });
    // What the kernel and both ends buffer, and far below what it would send.
    expect(written).toBeLessThan(50_000_000);
  });

  test('huge headers are a failure', async () => {
    receiver.answer = (response) =>
      response.writeHead(200, { big: 'x'.repeat(15_000), more: 'x'.repeat(15_000) }).end();
    expect(await courier().send(parcel(), NEVER)).toMatchObject({ kind: 'unreachable' });
  });

  test('one that is not there is not reachable', async () => {
    const gone = await startReceiver();
    await gone.close();
    const rules = { allowedHosts: ['127.0.0.1'], onlyAllowedHosts: false };
    const result = await courier({ rules }).send(parcel({ url: gone.url }), NEVER);
    expect(result).toEqual({ kind: 'unreachable', why: 'ECONNREFUSED' });
  });

  for (const [asked, retryAfterMs] of [
    ['7', 7_000],
    ['soon', null],
  ] as const) {
    test(`a Retry-After of "${asked}" is ${retryAfterMs ?? 'nothing'}`, async () => {
      receiver.answer = (response) => response.writeHead(503, { 'retry-after': asked }).end();
      expect(await courier().send(parcel(), NEVER)).toEqual({ kind: 'answered', status: 503, retryAfterMs });
    });
  }

  test('an attempt ends at once when the process stops', async () => {
    receiver.answer = () => undefined;
    const stop = new AbortController();
    const sent = courier({ timeoutMs: 60_000 }).send(parcel(), stop.signal);
    setTimeout(() => stop.abort(new Error('stopping')), 20);
    expect(await sent).toMatchObject({ kind: 'unreachable' });
  });
});

describe('an address that is not public', () => {
  const rules = { allowedHosts: [], onlyAllowedHosts: false };
  const DISGUISES = [
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f000001',
    '0x7f.0.0.1',
    '0177.0.0.1',
    '017700000001',
    '127.0.0.1.',
    '１２７.０.０.１',
    '0',
    '0.0.0.0',
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[::127.0.0.1]',
    '[64:ff9b::7f00:1]',
    '[64:ff9b:1::7f00:1]',
    '[2002:7f00:1::]',
    '[2001:0:4136:e378:8000:63bf:3fff:fdd2]',
    '[2a00::5efe:7f00:1]',
    '[fe80::1]',
    '[fec0::1]',
    '[fd00:ec2::254]',
    '[ff02::1]',
    '10.0.0.1',
    '172.16.0.1',
    '192.168.1.1',
    '100.64.0.1',
    '100.100.100.200',
    '169.254.169.254',
    '0xa9fea9fe',
    '168.63.129.16',
    '192.0.0.192',
    '198.18.0.1',
    '224.0.0.1',
    '255.255.255.255',
  ];
  for (const host of DISGUISES) {
    test(`${host} is refused`, async () => {
      const url = `http://${host}:${receiver.port}/hook`;
      const result = await courier({ rules }).send(parcel({ url }), NEVER);
      expect(result.kind).toBe('refused');
      expect(await courier({ rules }).refusal(url, NEVER)).toContain('not public');
      expect(receiver.received).toEqual([]);
    });
  }

  for (const addresses of [['127.0.0.1'], ['::1'], ['8.8.8.8', '10.0.0.1'], ['2606:4700::1111', '::ffff:10.0.0.1']]) {
    test(`a name that resolves to ${addresses.join(' and ')} is refused`, async () => {
      const { resolve, asked } = resolving(addresses);
      const url = `http://hooks.test:${receiver.port}/hook`;
      expect(await courier({ rules, resolve }).send(parcel({ url }), NEVER)).toMatchObject({ kind: 'refused' });
      expect(asked).toEqual(['hooks.test']);
      expect(receiver.received).toEqual([]);
    });
  }

  test('localhost is refused', async () => {
    const url = `http://localhost:${receiver.port}/hook`;
    expect(await courier({ rules }).send(parcel({ url }), NEVER)).toMatchObject({ kind: 'refused' });
  });

  test('the refusal does not tell what the name resolves to', async () => {
    const { resolve } = resolving(['10.11.12.13']);
    expect(await courier({ rules, resolve }).refusal('http://hooks.test/', NEVER)).not.toContain('10.11');
  });

  test('an allowed host may have one', async () => {
    const allowing = { allowedHosts: ['hooks.test'], onlyAllowedHosts: false };
    const { resolve } = resolving(['127.0.0.1']);
    const url = `http://hooks.test:${receiver.port}/hook`;
    expect(await courier({ rules: allowing, resolve }).send(parcel({ url }), NEVER)).toMatchObject({ status: 204 });
    expect(receiver.received[0]?.headers.host).toBe(`hooks.test:${receiver.port}`);
  });
});

describe('a name whose addresses change between judging and connecting', () => {
  test('is called at the address that was judged', async () => {
    const outside = await startReceiver('127.0.0.2');
    const inside = await startReceiver('127.0.0.1', outside.port);
    const isPublic = (address: string) => address === '127.0.0.2' || isPublicAddress(address);
    const { resolve, asked } = resolving(['127.0.0.2'], ['127.0.0.1']);
    const rules = { allowedHosts: [], onlyAllowedHosts: false };
    const url = `http://rebind.test:${outside.port}/hook`;
    expect(await courier({ rules, resolve, isPublic }).send(parcel({ url }), NEVER)).toMatchObject({ status: 204 });
    expect(asked).toHaveLength(1);
    expect(outside.received).toHaveLength(1);
    expect(await courier({ rules, resolve, isPublic }).send(parcel({ url }), NEVER)).toMatchObject({ kind: 'refused' });
    expect(inside.received).toEqual([]);
    await Promise.all([inside.close(), outside.close()]);
  });
});
