import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Sample, scanSamples } from '../../../src/picker/policy/prometheus-text.ts';

const scan = (text: string): readonly Sample[] => scanSamples(text, new Set(['m'])).get('m') ?? [];
const sample = (value: number, labels: Record<string, string> = {}, timestampMs: number | null = null): Sample => ({
  labels,
  value,
  timestampMs,
});

test.each([
  { name: 'a bare value', text: 'm 3', want: [sample(3)] },
  { name: 'an exponent', text: 'm 1.79e+09', want: [sample(1_790_000_000)] },
  { name: 'labels', text: 'm{a="1",b="two"} 3', want: [sample(3, { a: '1', b: 'two' })] },
  { name: 'no labels in braces', text: 'm{} 3', want: [sample(3)] },
  { name: 'a trailing comma and blanks', text: 'm{a="1", b="2",}\t3', want: [sample(3, { a: '1', b: '2' })] },
  { name: 'escapes', text: 'm{a="q\\" b\\\\ n\\n"} 3', want: [sample(3, { a: 'q" b\\ n\n' })] },
  {
    name: 'braces, commas and blanks inside a value',
    text: 'm{a="x} 9,b=\\"",b="2"} 3',
    want: [sample(3, { a: 'x} 9,b="', b: '2' })],
  },
  { name: 'an empty value', text: 'm{a=""} 3', want: [sample(3, { a: '' })] },
  {
    name: 'infinities and NaN',
    text: 'm +Inf\nm -Inf\nm NaN',
    want: [sample(Infinity), sample(-Infinity), sample(NaN)],
  },
  { name: 'a timestamp in milliseconds', text: 'm 3 1700000000123', want: [sample(3, {}, 1_700_000_000_123)] },
  { name: 'an OpenMetrics timestamp in seconds', text: 'm 3 1700000000.5', want: [sample(3, {}, 1_700_000_000_500)] },
  {
    name: 'an exemplar is no timestamp',
    text: 'm{a="1"} 3 # {trace_id="x y"} 0.5 1700000000',
    want: [sample(3, { a: '1' })],
  },
  {
    name: 'comments and other families are passed over',
    text: '# HELP m help\n# TYPE m gauge\nmm 9\nm_sum 8\nm 3\n',
    want: [sample(3)],
  },
  { name: 'Windows line ends', text: 'm 3\r\nm 4\r\n', want: [sample(3), sample(4)] },
  { name: 'broken lines are skipped, the rest is read', text: 'm{a="1 3\nm{a=1} 3\nm\nm x\nm 4', want: [sample(4)] },
  { name: 'nothing', text: '', want: [] },
])('$name', ({ text, want }) => {
  expect(scan(text)).toEqual(want);
});

test('any labels and value that are written are read back', () => {
  const label = fc.tuple(fc.stringMatching(/^[a-z_]{1,6}$/u), fc.string({ maxLength: 12 }));
  fc.assert(
    fc.property(fc.array(label, { maxLength: 4 }), fc.double({ noNaN: true }), (pairs, value) => {
      const labels = Object.fromEntries(pairs);
      const escaped = (text: string): string =>
        text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
      const written = Object.entries(labels).map(([name, text]) => `${name}="${escaped(text)}"`);
      const shown = Number.isFinite(value) ? String(value) : value > 0 ? '+Inf' : '-Inf';
      const [read] = scan(`m{${written.join(',')}} ${shown}\n`);
      expect(read?.labels).toEqual(labels);
      expect(read?.value === value).toBe(true);
    }),
  );
});

test('no text makes it throw or read beyond the lines of that name', () => {
  fc.assert(
    fc.property(
      fc.string({ maxLength: 200, unit: fc.constantFrom('m', '{', '}', '"', '\\', '=', ',', ' ', '1', '\n', '#') }),
      (text) => {
        expect(scan(text).length).toBeLessThanOrEqual(text.split('\n').length);
      },
    ),
  );
});
