import { describe, expect, test } from 'vitest';
import { PilotlightError } from '../../../src/core/errors.ts';
import { MAX_JSON_DEPTH, MAX_JSON_PARTS, parseJsonBody } from '../../../src/ingress/policy/json-body.ts';

const bytes = (text: string) => Buffer.from(text);
const nested = (levels: number) => bytes(`{"a":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`);

function refusal(body: Uint8Array): PilotlightError {
  const parsed = parseJsonBody(body);
  if (!(parsed instanceof PilotlightError)) throw new Error('was accepted');
  return parsed;
}

describe('parseJsonBody', () => {
  test('gives text and value of an object', () => {
    const parsed = parseJsonBody(bytes('{"a": "ü"}'));
    expect(parsed).toEqual({ text: '{"a": "ü"}', value: { a: 'ü' } });
  });

  test.each([
    { name: 'no body', body: bytes(''), code: 'invalid_json', says: 'no body' },
    { name: 'cut JSON', body: bytes('{"a":'), code: 'invalid_json', says: 'not valid JSON' },
    { name: 'text after the object', body: bytes('{"a":1} x'), code: 'invalid_json', says: 'at character 8' },
    { name: 'a byte order mark', body: bytes('\uFEFF{}'), code: 'invalid_json', says: 'not valid JSON' },
    {
      name: 'broken UTF-8',
      body: Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]),
      code: 'invalid_json',
      says: 'UTF-8',
    },
    { name: 'an array', body: bytes('[1]'), code: 'invalid_type', says: 'not an array' },
    { name: 'null', body: bytes('null'), code: 'invalid_type', says: 'not null' },
    { name: 'a string', body: bytes('"x"'), code: 'invalid_type', says: 'not a string' },
    {
      name: 'brackets nested too deep',
      body: nested(MAX_JSON_DEPTH + 1),
      code: 'invalid_json',
      says: 'deeper than 128',
    },
    {
      name: 'too many objects',
      body: bytes(`{"a":[${'{},'.repeat(MAX_JSON_PARTS)}0]}`),
      code: 'invalid_json',
      says: 'more than 250000',
    },
    {
      name: 'too many members',
      body: bytes(`{${'"a":0,'.repeat(MAX_JSON_PARTS)}"a":0}`),
      code: 'invalid_json',
      says: 'more than 250000',
    },
    {
      name: 'a million open brackets',
      body: bytes('['.repeat(1_000_000)),
      code: 'invalid_json',
      says: 'deeper than 128',
    },
  ])('$name is refused', ({ body, code, says }) => {
    const error = refusal(body);
    expect(error).toMatchObject({ code, param: 'body' });
    expect(error.message).toContain(says);
  });

  test('the deepest allowed nesting and brackets inside strings are accepted', () => {
    expect(parseJsonBody(nested(MAX_JSON_DEPTH))).not.toBeInstanceOf(PilotlightError);
    expect(parseJsonBody(bytes(JSON.stringify({ a: '[{\\"'.repeat(MAX_JSON_PARTS) })))).not.toBeInstanceOf(
      PilotlightError,
    );
  });

  test('an error never quotes the body', () => {
    expect(refusal(bytes('{"messages": secret-prompt}')).message).not.toContain('secret');
  });

  test('"__proto__" is a member like any other', () => {
    const parsed = parseJsonBody(bytes('{"__proto__": {"model": "x"}}'));
    if (parsed instanceof PilotlightError) throw parsed;
    expect(parsed.value.model).toBeUndefined();
    expect(Object.hasOwn(Object.prototype, 'model')).toBe(false);
  });
});
