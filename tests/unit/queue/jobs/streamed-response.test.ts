import { describe, expect, test } from 'vitest';
import { CollectedAnswer } from '../../../../src/core/collected-answer.ts';
import type { JobEventLog } from '../../../../src/queue/jobs/event-log.ts';
import { StreamedResponse } from '../../../../src/queue/jobs/streamed-response.ts';
import { FakeClock, settleMicrotasks } from '../../../support/fake-clock.ts';
import { silentLogger } from '../../../support/silent-logger.ts';
import { FakeJobEvents } from '../../ingress/support/fake-job-events.ts';

const ID = 'resp_1';
const SSE = { status: 200, headers: { 'content-type': 'text/event-stream; charset=utf-8' } };

function event(type: string, fields: object): Buffer {
  return Buffer.from(`event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: 9, ...fields })}\n\n`);
}
const text = (delta: string): Buffer => event('response.output_text.delta', { item_id: 'm', delta });
const END = event('response.completed', { response: { id: 'engine', status: 'completed' } });

function open(events: JobEventLog = new FakeJobEvents()) {
  const clock = new FakeClock();
  const collected = new CollectedAnswer(1_000, () => undefined);
  return { clock, collected, sink: new StreamedResponse({ events, clock, log: silentLogger }, ID, collected) };
}

async function texts(log: FakeJobEvents): Promise<string> {
  const page = await log.read(ID, null, 100);
  if (page.kind !== 'page') return page.kind;
  return page.events.map(({ data }) => (JSON.parse(data) as { delta: string }).delta).join('|');
}

describe('a streamed response', () => {
  test('is shown while it comes, what comes together in one event, and its last event is the result', async () => {
    const log = new FakeJobEvents();
    const { sink, clock, collected } = open(log);
    sink.begin(SSE);
    sink.write(text('one'));
    await settleMicrotasks();
    sink.write(text(' two'));
    sink.write(text(' three'));
    await clock.advance(40);
    expect(await texts(log)).toBe('one| two three');
    sink.write(END);
    sink.end();
    await sink.flushed();
    expect(await texts(log)).toBe('one| two three');
    expect(collected.contentType).toBe('application/json');
    expect(JSON.parse(Buffer.from(collected.body()).toString())).toEqual({ id: 'engine', status: 'completed' });
  });

  test('whose stream broke is shown anew by the next attempt, and only that', async () => {
    const log = new FakeJobEvents();
    const { sink, clock, collected } = open(log);
    sink.begin(SSE);
    sink.write(text('one'));
    await settleMicrotasks();
    sink.write(text(' lost'));
    sink.begin(SSE);
    sink.write(text('uno'));
    sink.write(END);
    await clock.advance(100);
    expect(await texts(log)).toBe('uno');
    expect(Buffer.from(collected.body()).toString()).toContain('completed');
  });

  test('that is a refusal is collected as it is, and nothing is shown', async () => {
    const log = new FakeJobEvents();
    const { sink, collected } = open(log);
    sink.begin({ status: 400, headers: { 'content-type': 'application/json' } });
    sink.write(Buffer.from('{"error":{}}'));
    sink.end();
    await sink.flushed();
    expect(Buffer.from(collected.body()).toString()).toBe('{"error":{}}');
    expect(await texts(log)).toBe('none');
  });

  test.each([
    { name: 'beginning', log: { begin: () => Promise.reject(new Error('no Redis')) } },
    {
      name: 'writing',
      log: {
        begin: () =>
          Promise.resolve({
            append: () => Promise.reject(new Error('no Redis')),
            end: () => Promise.reject(new Error('no Redis')),
          }),
      },
    },
  ])('has its result although $name its events fails', async ({ log }) => {
    const { sink, collected } = open(log);
    sink.begin(SSE);
    sink.write(text('one'));
    await sink.flushed();
    sink.write(text(' two'));
    sink.write(END);
    sink.end();
    await sink.flushed();
    await sink.settled();
    expect(Buffer.from(collected.body()).toString()).toContain('completed');
  });
});
