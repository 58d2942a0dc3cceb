import { describe, expect, test } from 'vitest';
import { formatProblem } from '../../../src/config/problem.ts';
import { parseYaml } from '../../../src/config/yaml-documents.ts';

describe('positions', () => {
  const text = 'kind: A\nspec:\n  list:\n    - name: x\n      port: 1\n---\n# only a comment\n---\nkind: B\n';
  const [first, second] = parseYaml('a.yaml', text).documents;

  test('a value, a key, and the nearest ancestor of what is not there', () => {
    expect(first!.locate(['spec', 'list', 0, 'port'])).toBe('a.yaml:5:13');
    expect(first!.locate(['spec', 'list', 0, 'port'], true)).toBe('a.yaml:5:7');
    expect(first!.locate(['spec', 'list', 0, 'missing'])).toBe('a.yaml:4:7');
    expect(first!.locate(['nothing', 'here'])).toBe('a.yaml:1:1');
  });

  test('lines go on through the documents of a file, and empty documents do not count', () => {
    expect(second!.value).toEqual({ kind: 'B' });
    expect(second!.locate(['kind'])).toBe('a.yaml:9:7');
  });
});

test('JSON is YAML', () => {
  expect(parseYaml('a.json', '{"kind": "A", "spec": {"n": 1}}').documents[0]!.value).toEqual({
    kind: 'A',
    spec: { n: 1 },
  });
});

test.each([
  { name: 'a tab as indentation', text: 'a:\n\tb: 1\n', want: 'a.yaml:2:1: not valid YAML: ' },
  { name: 'an unclosed bracket', text: 'a: [1, 2\n', want: 'a.yaml:2:1: not valid YAML: ' },
  {
    name: 'a key that stands twice',
    text: 'a: 1\nb: 2\na: 3\n',
    want: 'a.yaml:3:1: not valid YAML: Map keys must be unique',
  },
  { name: 'an unknown tag', text: 'a: !secret x\n', want: 'a.yaml:1:4: not valid YAML: Unresolved tag: !secret' },
  { name: 'an alias to nothing', text: 'a: *x\n', want: 'a.yaml:1:1: not valid YAML: Unresolved alias' },
])('$name is a problem with its place', ({ text, want }) => {
  const { documents, problems } = parseYaml('a.yaml', text);
  expect(documents).toEqual([]);
  expect(formatProblem(problems[0]!)).toContain(want);
});

test('one broken document does not hide the others', () => {
  const { documents, problems } = parseYaml('a.yaml', 'kind: A\n---\n[1\n---\nkind: C\n');
  expect(problems.length).toBeGreaterThan(0);
  expect(documents.map((one) => one.value)).toContainEqual({ kind: 'A' });
});

test('a few lines of aliases cannot expand into gigabytes', () => {
  const bomb = ['a0: &a0 [x, x, x, x, x, x, x, x, x]'];
  for (let level = 1; level < 12; level += 1) {
    bomb.push(`a${level}: &a${level} [${Array.from({ length: 9 }, () => `*a${level - 1}`).join(', ')}]`);
  }
  const { documents, problems } = parseYaml('bomb.yaml', bomb.join('\n'));
  expect(documents).toEqual([]);
  expect(formatProblem(problems[0]!)).toBe(
    'bomb.yaml:1:1: not valid YAML: Excessive alias count indicates a resource exhaustion attack',
  );
});
