import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ResponseHead } from '../../../src/core/dispatch.ts';
import { PilotlightError } from '../../../src/core/errors.ts';
import { HeldAnswer } from '../../../src/ingress/held-answer.ts';
import { errorEvent } from '../../../src/ingress/policy/error-answer.ts';
import { lastEventEnd, waitComment } from '../../../src/ingress/policy/stream-events.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeWriter } from './support/fake-writer.ts';

const EVENTS: ResponseHead = { status: 200, headers: { 'Content-Type': 'text/event-stream' } };
const JSON_HEAD: ResponseHead = { status: 200, headers: { 'content-type': 'application/json' } };
const bytes = (text: string) => Buffer.from(text);
const broken = new PilotlightError('upstream_error', 'it broke');
const BROKEN_EVENT =
  'data: {"error":{"message":"it broke","type":"upstream_error","param":null,"code":"upstream_error"}}\n\n';

function start(options: {
  stream: boolean;
  exposeEndpoint?: boolean;
  ttlMayStop?: boolean;
  ownHeaders?: () => Record<string, string>;
}) {
  const writer = new FakeWriter();
  const clock = new FakeClock();
  let waits = 0;
  const answer = new HeldAnswer({
    writer,
    clock,
    requestId: 'req_1',
    errorEvent,
    clientStallTimeoutMs: 60_000,
    exposeEndpoint: false,
    onWaiting: () => {
      waits += 1;
    },
    ...options,
  });
  return { answer, writer, clock, waits: () => waits };
}

describe('a stream that waits', () => {
  test('hears at once of a predicted wait above a second', () => {
    const { answer, writer } = start({ stream: true });
    answer.waiting({ position: 3, phase: 'waking', etaMs: 41_500 });
    expect(writer).toMatchObject({ status: 200, text: ': pilotlight phase=waking position=3 eta=42s\n\n' });
    expect(writer.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'x-request-id': 'req_1',
      'cache-control': 'no-cache',
    });
    answer.abandon();
  });

  test.each([
    { phase: 'waking', ttlMayStop: true, text: ': pilotlight phase=waking position=3 eta=9s ttl=stopped\n\n' },
    { phase: 'waking', ttlMayStop: false, text: ': pilotlight phase=waking position=3 eta=9s\n\n' },
    { phase: 'queued', ttlMayStop: true, text: ': pilotlight phase=queued position=3 eta=9s\n\n' },
    { phase: 'paused', ttlMayStop: true, text: ': pilotlight phase=paused position=3 eta=9s\n\n' },
  ])('hears whether its TTL stands still: $phase, may stop: $ttlMayStop', ({ phase, ttlMayStop, text }) => {
    const { answer, writer } = start({ stream: true, ttlMayStop });
    answer.waiting({ position: 3, phase, etaMs: 9_000 });
    expect(writer).toMatchObject({ text });
    answer.abandon();
  });

  test('hears of a short prediction only when a second has passed', async () => {
    const { answer, writer, clock } = start({ stream: true });
    answer.waiting({ position: 0, phase: 'queued', etaMs: 200 });
    await clock.advance(999);
    expect(writer.status).toBeNull();
    await clock.advance(1);
    expect(writer.text).toBe(': pilotlight phase=queued position=0 eta=1s\n\n');
    answer.abandon();
  });

  test('hears when the prediction grows past a second, and then again after five', async () => {
    const { answer, writer, clock } = start({ stream: true });
    answer.waiting({ position: 0, phase: 'queued', etaMs: null });
    await clock.advance(900);
    expect(writer.status).toBeNull();
    answer.waiting({ position: 0, phase: 'queued', etaMs: 9_000 });
    expect(writer.text).toBe(': pilotlight phase=queued position=0 eta=9s\n\n');
    await clock.advance(4_999);
    expect(writer.writes).toHaveLength(1);
    await clock.advance(1);
    expect(writer.writes).toHaveLength(2);
    answer.abandon();
  });

  test('hears of a new phase at once, of the rest every five seconds', async () => {
    const { answer, writer, clock } = start({ stream: true });
    answer.waiting({ position: 3, phase: 'waking', etaMs: 30_000 });
    answer.waiting({ position: 2, phase: 'waking', etaMs: 29_000 });
    expect(writer.writes).toHaveLength(1);
    answer.waiting({ position: 2, phase: 'ModelLoading', etaMs: 20_000 });
    expect(writer.writes.at(-1)).toBe(': pilotlight phase=ModelLoading position=2 eta=20s\n\n');
    answer.waiting({ position: 1, phase: 'ModelLoading', etaMs: null });
    await clock.advance(5_000);
    expect(writer.writes.at(-1)).toBe(': pilotlight phase=ModelLoading position=1\n\n');
    await clock.advance(10_000);
    expect(writer.writes).toHaveLength(5);
    answer.abandon();
  });

  test('hears nothing more once its answer begins, and no timer stays', async () => {
    const { answer, writer, clock } = start({ stream: true });
    answer.waiting({ position: 0, phase: 'waking', etaMs: 5_000 });
    answer.begin(EVENTS);
    answer.write(bytes('data: 1\n\n'));
    await clock.advance(60_000);
    expect(clock.sleeping).toBe(0);
    answer.end();
    expect(writer.text).toBe(': pilotlight phase=waking position=0 eta=5s\n\ndata: 1\n\n');
    expect(writer.writableEnded).toBe(true);
  });

  test('is sent no comments while it does not read', async () => {
    const { answer, writer, clock } = start({ stream: true });
    answer.waiting({ position: 0, phase: 'waking', etaMs: 5_000 });
    writer.isFull = true;
    await clock.advance(60_000);
    expect(writer.writes).toHaveLength(1);
    answer.abandon();
  });

  test('gets a later failure as an event', () => {
    const { answer, writer, waits } = start({ stream: true });
    answer.waiting({ position: 0, phase: 'waking', etaMs: 5_000 });
    answer.fail(broken);
    expect(writer.writes.at(-1)).toBe(BROKEN_EVENT);
    expect(writer.writableEnded).toBe(true);
    expect(waits()).toBe(1);
  });

  test("gets a model server's refusal as an event with its reason", () => {
    const { answer, writer } = start({ stream: true });
    answer.waiting({ position: 0, phase: 'waking', etaMs: 5_000 });
    answer.begin({ status: 400, headers: JSON_HEAD.headers });
    answer.write(bytes('{"error":{"message":'));
    answer.write(bytes('"too long"}}'));
    answer.end();
    expect(writer.writes.at(-1)).toContain('The model server refused the call: too long');
  });

  test.each(['not json', '{}', 'null', '{"error":"x"}'])('gets the refusal %j as an event too', (text) => {
    const { answer, writer } = start({ stream: true });
    answer.waiting({ position: 0, phase: 'waking', etaMs: 5_000 });
    answer.begin({ status: 400, headers: {} });
    answer.write(bytes(text));
    answer.end();
    expect(writer.writes.at(-1)).toContain('no reason given');
  });
});

describe('a stream that runs', () => {
  test('that breaks between two events ends with an error event', () => {
    const { answer, writer } = start({ stream: true });
    answer.begin(EVENTS);
    answer.write(bytes('data: 1\n\n'));
    answer.fail(broken);
    expect(writer.text).toBe(`data: 1\n\n${BROKEN_EVENT}`);
  });

  test('that breaks within an event ends with a whole error event and no half one', () => {
    const { answer, writer } = start({ stream: true });
    answer.begin(EVENTS);
    answer.write(bytes('data: 1\n\ndata: {"cho'));
    answer.fail(broken);
    expect(writer.text).toBe(`data: 1\n\n${BROKEN_EVENT}`);
  });

  test('whatever the cuts between chunks, every byte arrives in order', () => {
    const text = 'data: 1\n\n: c\r\n\r\ndata: 2\ndata: 3\n\ndata: [DONE]\n\ntail';
    fc.assert(
      fc.property(fc.array(fc.nat(text.length)), (cuts) => {
        const { answer, writer } = start({ stream: true });
        answer.begin(EVENTS);
        const edges = [0, ...cuts.sort((a, b) => a - b), text.length];
        for (const [index, edge] of edges.slice(1).entries()) answer.write(bytes(text.slice(edges[index], edge)));
        answer.end();
        expect(writer.text).toBe(text);
      }),
    );
  });

  test('passes on an event that never ends instead of keeping it', () => {
    const { answer, writer } = start({ stream: true });
    answer.begin(EVENTS);
    answer.write(new Uint8Array(262_145).fill(0x61));
    expect(writer.text.length).toBe(262_145);
  });
});

describe('a plain answer', () => {
  test('has status and headers of the model server and says how long it queued', () => {
    const { answer, writer, waits } = start({ stream: false });
    answer.waiting({ position: 9, phase: 'waking', etaMs: 90_000 });
    expect(writer.status).toBeNull();
    answer.begin({
      status: 418,
      headers: { ...JSON_HEAD.headers, 'content-length': '2' },
      waitedMs: 12.4,
      endpointId: 'e',
    });
    answer.write(bytes('{}'));
    answer.end();
    expect(writer).toMatchObject({ status: 418, text: '{}', writableEnded: true });
    expect(writer.headers).toEqual({
      'content-type': 'application/json',
      'content-length': '2',
      'x-request-id': 'req_1',
      'x-pilotlight-queue-ms': '12',
    });
    expect(waits()).toBe(1);
  });

  test('names its endpoint when that is wanted', () => {
    const { answer, writer } = start({ stream: false, exposeEndpoint: true });
    answer.begin({ ...JSON_HEAD, endpointId: 'pod@1.2.3.4:5' });
    expect(writer.headers['x-pilotlight-endpoint']).toBe('pod@1.2.3.4:5');
  });

  test('that fails before its head has the status of the error', () => {
    const { answer, writer } = start({ stream: false });
    answer.fail(new PilotlightError('queue_full', 'full', { retryAfterMs: 4_000 }));
    expect(writer).toMatchObject({ status: 429, writableEnded: true });
    expect(writer.headers).toMatchObject({ 'retry-after': '4', 'x-request-id': 'req_1' });
  });

  test('that fails after its head is cut off', () => {
    const { answer, writer } = start({ stream: false });
    answer.begin(JSON_HEAD);
    answer.write(bytes('{"half'));
    answer.fail(broken);
    expect(writer).toMatchObject({ destroyed: true, writableEnded: false });
  });

  test.each([
    { name: 'shorter', text: '{"a"' },
    { name: 'longer', text: '{"a":1}}' },
  ])('that is $name than its length is cut off', ({ text }) => {
    const { answer, writer } = start({ stream: false });
    answer.begin({ status: 200, headers: { 'content-length': '7' } });
    answer.write(bytes(text));
    answer.end();
    expect(writer).toMatchObject({ destroyed: true, writableEnded: false });
  });

  test('that is over takes nothing more', () => {
    const { answer, writer } = start({ stream: false });
    answer.begin(JSON_HEAD);
    answer.end();
    answer.write(bytes('x'));
    answer.end();
    answer.fail(broken);
    expect(writer.text).toBe('');
    expect(answer.isClosed).toBe(true);
  });
});

describe('back-pressure', () => {
  test('the sink says when the client is slow, and when it has caught up', async () => {
    const { answer, writer, clock } = start({ stream: false });
    answer.begin(JSON_HEAD);
    writer.isFull = true;
    expect(answer.write(bytes('x'))).toBe(false);
    const drained = answer.drained(new AbortController().signal);
    writer.drain();
    await drained;
    expect(clock.sleeping).toBe(0);
    expect(writer.listenerCount('close')).toBe(0);
  });

  test('a fast client keeps nobody waiting', async () => {
    const { answer } = start({ stream: false });
    answer.begin(JSON_HEAD);
    await answer.drained(new AbortController().signal);
  });

  test('a client that reads nothing for its time is cut off', async () => {
    const { answer, writer, clock } = start({ stream: false });
    answer.begin(JSON_HEAD);
    writer.isFull = true;
    const drained = expect(answer.drained(new AbortController().signal)).rejects.toMatchObject({
      code: 'request_cancelled',
    });
    await clock.advance(60_000);
    await drained;
    expect(writer.destroyed).toBe(true);
  });

  test('a wait for a client ends when the call is aborted', async () => {
    const { answer, writer, clock } = start({ stream: false });
    answer.begin(JSON_HEAD);
    writer.isFull = true;
    const abort = new AbortController();
    const drained = expect(answer.drained(abort.signal)).rejects.toBe(broken);
    abort.abort(broken);
    await drained;
    await clock.advance(60_000);
    expect(writer.destroyed).toBe(false);
  });

  test('a client that is gone is not waited for', async () => {
    const { answer, writer } = start({ stream: false });
    answer.begin(JSON_HEAD);
    writer.destroyed = true;
    await expect(answer.drained(new AbortController().signal)).rejects.toMatchObject({ code: 'request_cancelled' });
  });
});

test.each([
  { text: 'data: 1\n\n', end: 9 },
  { text: 'data: 1\n\ndata', end: 9 },
  { text: 'data: 1\r\n\r\nda', end: 11 },
  { text: 'data: 1\n', end: 0 },
  { text: '\n\n', end: 2 },
  { text: '', end: 0 },
])('lastEventEnd of $text', ({ text, end }) => {
  expect(lastEventEnd(bytes(text))).toBe(end);
});

test('a comment is one line whatever the phase is called', () => {
  expect(waitComment({ position: 1, phase: 'a b\n\ndata: x', etaMs: 1 })).toBe(
    ': pilotlight phase=a_b__data__x position=1 eta=1s\n\n',
  );
});

test.each(['relayed', 'announced', 'refused'] as const)(
  'our own headers are on a %s answer, and are asked for then',
  (way) => {
    let left = 1;
    const { answer, writer } = start({
      stream: way === 'announced',
      ownHeaders: () => ({ 'x-ratelimit-remaining-requests': String(left) }),
    });
    left = 0;
    if (way === 'relayed') answer.begin({ ...JSON_HEAD, headers: { 'x-ratelimit-remaining-requests': '999' } });
    else if (way === 'announced') answer.waiting({ position: 3, phase: 'waking', etaMs: 41_500 });
    else answer.fail(broken);
    expect(writer.headers).toMatchObject({ 'x-ratelimit-remaining-requests': '0', 'x-request-id': 'req_1' });
    answer.abandon();
  },
);
