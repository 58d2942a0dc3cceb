import fc from 'fast-check';
import { expect, test } from 'vitest';
import { editMembers, memberText, replaceMember } from '../../../src/ingress/policy/json-members.ts';

test.each([
  { name: 'the only member', text: '{"model":"a"}', want: '{"model":"b"}' },
  { name: 'odd spacing', text: ' {\n "x" : 1 , "model" :\t"a" }\n', want: ' {\n "x" : 1 , "model" :\t"b" }\n' },
  {
    name: 'a number that a double cannot hold',
    text: '{"seed":9007199254740993,"model":"a"}',
    want: '{"seed":9007199254740993,"model":"b"}',
  },
  {
    name: 'the same key deeper inside',
    text: '{"o":{"model":"a"},"model":"a"}',
    want: '{"o":{"model":"a"},"model":"b"}',
  },
  {
    name: 'braces and quotes in strings',
    text: '{"t":"}\\",\\"model\\":","model":"a"}',
    want: '{"t":"}\\",\\"model\\":","model":"b"}',
  },
  { name: 'a key written with an escape', text: '{"mod\\u0065l":"a"}', want: '{"mod\\u0065l":"b"}' },
  {
    name: 'a repeated key, wherever it stands',
    text: '{"model":"a","x":[1,{}],"model":"c"}',
    want: '{"model":"b","x":[1,{}],"model":"b"}',
  },
  { name: 'no such key', text: '{"x":null}', want: '{"x":null}' },
  { name: 'an empty object', text: '{ }', want: '{ }' },
])('replaceMember: $name', ({ text, want }) => {
  expect(replaceMember(text, 'model', 'b')).toBe(want);
});

test('memberText gives the last of repeated members, spacing trimmed', () => {
  expect(memberText('{"body": 1, "body" : {"a": 1.50} }', 'body')).toBe('{"a": 1.50}');
  expect(memberText('{"body": 12 \n}', 'body')).toBe('12');
  expect(memberText('{"other": 1}', 'body')).toBeUndefined();
});

const objects = fc.dictionary(fc.string(), fc.jsonValue());
const spacing = fc.constantFrom(undefined, 1, '\t');

test('whatever the object, replacing a member changes that member alone', () => {
  fc.assert(
    fc.property(objects, fc.jsonValue(), spacing, (rest, old, indent) => {
      const text = JSON.stringify({ ...rest, model: old }, null, indent);
      const replaced: unknown = JSON.parse(replaceMember(text, 'model', 'new'));
      expect(replaced).toEqual({ ...(JSON.parse(text) as object), model: 'new' });
    }),
  );
});

test('whatever the object, the text of a member is its value', () => {
  fc.assert(
    fc.property(objects, fc.jsonValue(), spacing, (rest, value, indent) => {
      const text = JSON.stringify({ ...rest, body: value }, null, indent);
      expect(JSON.parse(memberText(text, 'body') ?? '')).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
});

test.each([
  {
    name: 'sets a member that is there, and one that is not',
    edits: { a: true, z: false },
    want: '{"a":true,"z":false,"b":1.50}',
  },
  { name: 'removes a member', edits: { a: undefined }, want: '{"b":1.50}' },
  { name: 'leaves the rest as it is', edits: {}, want: '{"a": "x","b":1.50}' },
])('editMembers $name', ({ edits, want }) => {
  expect(editMembers('{ "a": "x" , "b":1.50}', edits)).toBe(want);
});

test('editMembers changes what it names and nothing else, in any object', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.boolean(), (object, value) => {
      const edited: unknown = JSON.parse(editMembers(JSON.stringify(object), { store: value, background: undefined }));
      const {
        store: _store,
        background: _background,
        ...rest
      } = JSON.parse(JSON.stringify(object)) as Record<string, unknown>;
      expect(edited).toEqual({ store: value, ...rest });
    }),
  );
});
