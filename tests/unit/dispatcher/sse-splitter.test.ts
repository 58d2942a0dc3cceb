import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SseSplitter } from '../../../src/dispatcher/policy/sse-splitter.ts';

const LIMIT = 1_000;

/** Feeds `text` in pieces of these sizes (the last one repeated) and tells what came out. */
function feed(text: string, sizes: readonly number[], stopAt = Number.POSITIVE_INFINITY) {
  const splitter = new SseSplitter(LIMIT);
  const bytes = Buffer.from(text);
  const data: (string | null)[] = [];
  const forwarded: Uint8Array[] = [];
  let turn = 0;
  for (let from = 0; from < bytes.length; turn += 1) {
    const size = sizes[Math.min(turn, sizes.length - 1)] ?? bytes.length;
    const result = splitter.push(bytes.subarray(from, from + size), (event) => {
      data.push(event);
      return data.length < stopAt;
    });
    if (result.forward) forwarded.push(result.forward);
    if (result.stopped) return { data, forwarded: Buffer.concat(forwarded).toString(), stopped: true };
    from += size;
  }
  return { data, forwarded: Buffer.concat(forwarded).toString(), stopped: false };
}

const rows: readonly { name: string; text: string; data: readonly (string | null)[]; rest?: string }[] = [
  { name: 'events end with an empty line', text: 'data: {"a":1}\n\ndata: b\n\n', data: ['{"a":1}', 'b'] },
  { name: 'CRLF ends lines too', text: 'data: a\r\n\r\ndata: b\r\n\r\n', data: ['a', 'b'] },
  { name: 'so does a lone CR', text: 'data: a\r\rdata: b\r\r', data: ['a', 'b'] },
  { name: 'the three kinds of line end may be mixed', text: 'data: a\r\n\ndata: b\n\r\n', data: ['a', 'b'] },
  { name: 'several data lines are one text', text: 'data: a\ndata: b\n\n', data: ['a\nb'] },
  { name: 'a comment has no data', text: ': ping\n\n', data: [null] },
  { name: 'other fields are not data', text: 'event: error\nid: 7\ndata: x\nretry: 1\n\n', data: ['x'] },
  {
    name: 'the blank after the colon is optional, and only one is dropped',
    text: 'data:a\n\ndata:  b\n\n',
    data: ['a', ' b'],
  },
  { name: 'a data line without colon is empty data', text: 'data\n\n', data: [''] },
  { name: 'empty lines between events belong to the next', text: '\n\ndata: a\n\n\n\ndata: b\n\n', data: ['a', 'b'] },
  { name: 'an event without its end is not forwarded', text: 'data: a\n\ndata: b\n', data: ['a'], rest: 'data: b\n' },
  { name: 'text outside ASCII survives', text: 'data: {"t":"Grüße 🙂"}\n\n', data: ['{"t":"Grüße 🙂"}'] },
];

describe.each([{ size: 1 }, { size: 2 }, { size: 3 }, { size: 7 }, { size: 1_000 }])(
  'in chunks of $size',
  ({ size }) => {
    test.each(rows)('$name', ({ text, data, rest = '' }) => {
      const fed = feed(text, [size]);
      expect(fed.data).toEqual(data);
      const lineEnds = /[\r\n]*$/u;
      expect(`${fed.forwarded}${rest}`.replace(lineEnds, '')).toBe(text.replace(lineEnds, ''));
    });
  },
);

test('an event that is refused is not forwarded, nor anything after it', () => {
  const fed = feed('data: a\n\ndata: b\n\ndata: c\n\n', [1_000], 2);
  expect(fed).toMatchObject({ data: ['a', 'b'], forwarded: 'data: a\n\n', stopped: true });
});

test('an event beyond the limit is told before it is complete', () => {
  const splitter = new SseSplitter(10);
  expect(splitter.push(Buffer.from('data: 123'), () => true).overflow).toBe(false);
  expect(splitter.push(Buffer.from('45'), () => true).overflow).toBe(true);
});

test('however a stream is cut, the same events and the same bytes come out', () => {
  const line = fc.stringMatching(/^[a-z:ü🙂 ]{0,8}$/u);
  const events = fc.array(fc.tuple(fc.array(line, { maxLength: 3 }), fc.constantFrom('\n', '\r\n', '\r')), {
    maxLength: 6,
  });
  fc.assert(
    fc.property(events, fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 }), (list, sizes) => {
      const text = list.map(([lines, eol]) => `${lines.map((each) => `data: ${each}${eol}`).join('')}${eol}`).join('');
      const whole = feed(text, [Math.max(1, Buffer.byteLength(text))]);
      const cut = feed(text, sizes);
      expect(cut.data).toEqual(whole.data);
      expect(cut.forwarded.trimEnd()).toBe(whole.forwarded.trimEnd());
      expect(text.startsWith(cut.forwarded)).toBe(true);
    }),
  );
});
