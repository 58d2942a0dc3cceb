import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { TraceRequest } from '../../../src/simulate/trace.ts';
import { parseTrace } from '../../../src/simulate/trace-reader.ts';

const HEADER = 'TIMESTAMP,ContextTokens,GeneratedTokens';
const TEXT = [
  HEADER,
  '2023-11-16 18:15:46.6805900,374,44',
  '2023-11-16 18:15:50.9951690,396,109',
  '2023-11-16 18:15:51.0000000,879,55',
  '',
].join('\n');

async function read(...pieces: string[]): Promise<TraceRequest[]> {
  const trace: TraceRequest[] = [];
  for await (const request of parseTrace(pieces)) trace.push(request);
  return trace;
}

test('rows become requests, the first at 0', async () => {
  const trace = await read(TEXT);
  expect(trace.map(({ contextTokens, generatedTokens }) => [contextTokens, generatedTokens])).toEqual([
    [374, 44],
    [396, 109],
    [879, 55],
  ]);
  expect(trace.map(({ arrivalMs }) => arrivalMs)).toEqual([
    0,
    expect.closeTo(4_314.579, 2),
    expect.closeTo(4_319.41, 2),
  ]);
});

test('the pieces may be cut anywhere', async () => {
  const whole = await read(TEXT);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(TEXT.length), { maxLength: 6 }), async (cuts) => {
      const at = [0, ...cuts.sort((a, b) => a - b), TEXT.length];
      const pieces = at.slice(1).map((end, index) => TEXT.slice(at[index], end));
      expect(await read(...pieces)).toEqual(whole);
    }),
  );
});

test.each([
  { name: 'Windows line ends', text: TEXT.replaceAll('\n', '\r\n') },
  { name: 'a byte order mark', text: `\uFEFF${TEXT}` },
  { name: 'no last line end', text: TEXT.trimEnd() },
  { name: 'blank lines', text: TEXT.replaceAll('\n', '\n\n').replace('\n\n', '\n') },
  { name: 'times with an offset, as in the traces of 2024', text: TEXT.replaceAll(/(:\d\d\.\d+)/g, '$1+00:00') },
])('$name do no harm', async ({ text }) => {
  expect(await read(text)).toEqual(await read(TEXT));
});

test.each([
  { name: 'an empty file', text: '', message: 'line 1, column 1: the file is empty' },
  { name: 'another header', text: 'time,in,out\n', message: 'line 1, column 1: the first line must be' },
  {
    name: 'a missing field',
    text: `${HEADER}\n2023-11-16 18:15:46,374\n`,
    message: 'line 2, column 1: expected 3 fields',
  },
  {
    name: 'a time that is none',
    text: `${HEADER}\nyesterday,374,44\n`,
    message: 'line 2, column 1: TIMESTAMP "yesterday"',
  },
  {
    name: 'a month that is none',
    text: `${HEADER}\n2023-13-16 18:15:46,374,44\n`,
    message: 'line 2, column 1: TIMESTAMP',
  },
  {
    name: 'context tokens as text',
    text: `${HEADER}\n2023-11-16 18:15:46,many,44\n`,
    message: 'line 2, column 21: ContextTokens "many"',
  },
  {
    name: 'no generated tokens',
    text: `${HEADER}\n\n2023-11-16 18:15:46,374,0\n`,
    message: 'line 3, column 25: GeneratedTokens "0"',
  },
  {
    name: 'time running backwards',
    text: `${HEADER}\n2023-11-16 18:15:46,1,1\n2023-11-16 18:15:45,1,1\n`,
    message: 'line 3, column 1: the time is before',
  },
  {
    name: 'a line without end',
    text: `${HEADER}\n${'1'.repeat(5_000)}`,
    message: 'line 2, column 4097: the line is longer',
  },
])('$name is an error that names the place', async ({ text, message }) => {
  await expect(read(text)).rejects.toThrow(message);
});
