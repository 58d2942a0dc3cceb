import fc from 'fast-check';
import { expect, test } from 'vitest';
import { rowLineParts } from '../../../../src/batch/policy/rows/row-line.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const read = (text: string) => {
  const parts = rowLineParts(bytes(text));
  return parts && { customId: parts.customId, body: new TextDecoder().decode(parts.body) };
};

test.each([
  ['in any order', '{"body":{"a":1},"custom_id":"x"}', { customId: 'x', body: '{"a":1}' }],
  [
    'with blanks',
    ' { "custom_id" : "x" , "body" : { "a" : [ 1 , "}" ] } } ',
    { customId: 'x', body: '{ "a" : [ 1 , "}" ] }' },
  ],
  [
    'with numbers as they were written',
    '{"custom_id":"x","n":1.0,"body":{"seed":12345678901234567890,"t":1.0}}',
    { customId: 'x', body: '{"seed":12345678901234567890,"t":1.0}' },
  ],
  [
    'the last of two counts',
    '{"custom_id":"x","body":{"a":1},"body":{"a":2},"custom_id":"y"}',
    { customId: 'y', body: '{"a":2}' },
  ],
  [
    'names with escapes',
    '{"custom\\u005fid":"x\\n","b\\u006fdy":{"q":"\\\\\\""}}',
    { customId: 'x\n', body: '{"q":"\\\\\\""}' },
  ],
  ['scalars between them', '{"a":null,"b":[[],{}],"custom_id":"x","c":true,"body":{}}', { customId: 'x', body: '{}' }],
  ['no id', '{"body":{}}', undefined],
  ['a body that is no object', '{"custom_id":"x","body":[1]}', undefined],
  ['no object', '[1]', undefined],
  ['nothing', '', undefined],
])('a line: %s', (_name, line, parts) => {
  expect(read(line)).toEqual(parts);
});

test('what is found is what JSON.parse finds, however the line is written', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }),
      fc.dictionary(fc.string(), fc.jsonValue()),
      fc.jsonValue(),
      fc.constantFrom(0, 1),
      (customId, body, extra, indent) => {
        const line = JSON.stringify({ extra, custom_id: customId, pilotlight: extra, body, last: 1 }, null, indent);
        const parts = read(line);
        const want = JSON.parse(line) as { custom_id: string; body: unknown };
        expect(parts?.customId).toEqual(JSON.parse(new TextDecoder().decode(bytes(JSON.stringify(want.custom_id)))));
        expect(JSON.parse(parts?.body ?? '')).toEqual(want.body);
      },
    ),
  );
});

test('garbage never throws', () => {
  fc.assert(fc.property(fc.uint8Array(), (garbage) => void rowLineParts(garbage)));
});
