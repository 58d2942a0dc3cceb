import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { JobEvent } from '../../../../src/core/job-events.ts';
import { SseData } from '../../../../src/queue/policy/backlog/sse-data.ts';
import { mergeDeltas, readStreamedEvent } from '../../../../src/queue/policy/backlog/streamed-answer.ts';

function delta(text: string, item = 'msg_1', extra: object = {}): JobEvent {
  const type = 'response.output_text.delta';
  return { type, data: JSON.stringify({ type, item_id: item, content_index: 0, delta: text, ...extra }) };
}

function textOf(events: readonly JobEvent[], item: string): string {
  const parsed = events.map(({ data }) => JSON.parse(data) as { item_id?: string; delta?: string });
  return parsed.map((event) => (event.item_id === item ? (event.delta ?? '') : '')).join('');
}

describe('neighbouring deltas', () => {
  test('of one place become one, with their log probabilities', () => {
    const merged = mergeDeltas([delta('a', 'm', { logprobs: [1] }), delta('b', 'm', { logprobs: [2] })]);
    expect(merged.map(({ data }) => JSON.parse(data) as unknown)).toEqual([
      { type: 'response.output_text.delta', item_id: 'm', content_index: 0, delta: 'ab', logprobs: [1, 2] },
    ]);
  });

  test('say the same together as before, in the same order, whatever stands between them', () => {
    const other: JobEvent = { type: 'response.content_part.done', data: '{"type":"response.content_part.done"}' };
    const events = fc.array(
      fc.oneof(
        fc.tuple(fc.string(), fc.constantFrom('m1', 'm2')).map(([text, item]) => delta(text, item)),
        fc.constant(other),
      ),
    );
    fc.assert(
      fc.property(events, (before) => {
        const after = mergeDeltas(before);
        expect(after.length).toBeLessThanOrEqual(before.length);
        for (const item of ['m1', 'm2']) expect(textOf(after, item)).toBe(textOf(before, item));
        expect(after.filter(({ type }) => type === other.type)).toEqual(
          before.filter(({ type }) => type === other.type),
        );
      }),
    );
  });
});

describe('an event of a streamed response', () => {
  test.each([
    { name: 'that repeats the acceptance is dropped', event: { type: 'response.created', response: {} }, kind: 'drop' },
    { name: 'without a type is dropped', event: { x: 1 }, kind: 'drop' },
    { name: 'that has no response at the end is dropped', event: { type: 'response.completed' }, kind: 'drop' },
    {
      name: 'that is the last is the result',
      event: { type: 'response.incomplete', response: { id: 'engine' } },
      kind: 'result',
    },
    { name: 'of text is passed on', event: { type: 'response.output_text.delta', delta: 'x' }, kind: 'event' },
  ])('$name', ({ event, kind }) => {
    expect(readStreamedEvent(JSON.stringify(event), 'resp_1').kind).toBe(kind);
  });

  test('has our id in place of the model server, and neither number nor padding', () => {
    const type = 'response.in_progress';
    const data = JSON.stringify({
      type,
      sequence_number: 1,
      obfuscation: 'xx',
      response: { id: 'engine', output: [] },
    });
    expect(readStreamedEvent(data, 'resp_1')).toEqual({
      kind: 'event',
      event: { type, data: JSON.stringify({ type, response: { id: 'resp_1', output: [], background: true } }) },
    });
  });

  test('that is no JSON is dropped', () => {
    expect(readStreamedEvent('[DONE]', 'resp_1')).toEqual({ kind: 'drop' });
  });
});

describe('the data of server-sent events', () => {
  const STREAMS = [
    { name: 'LF', text: 'event: a\ndata: {"x":1}\n\ndata: två\n\n', data: ['{"x":1}', 'två'] },
    { name: 'CRLF', text: 'data: one\r\ndata: two\r\n\r\ndata:three\r\n\r\n', data: ['one\ntwo', 'three'] },
    { name: 'CR', text: 'data: one\r\rdata\r\r', data: ['one', ''] },
    { name: 'comments and ids', text: ': hello\n\nid: 7\ndata: 🎈\n\n', data: ['🎈'] },
    { name: 'an event that is not complete', text: 'data: one\n\ndata: tw', data: ['one'] },
  ];

  test.each(STREAMS)('are the same however the bytes are cut: $name', ({ text, data }) => {
    const bytes = Buffer.from(text);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: bytes.length })), (cuts) => {
        const places = [...new Set([...cuts, bytes.length])].sort((a, b) => a - b);
        const parser = new SseData();
        const got: string[] = [];
        let from = 0;
        for (const to of places) {
          got.push(...parser.push(bytes.subarray(from, to)));
          from = to;
        }
        expect(got).toEqual(data);
      }),
    );
  });
});
