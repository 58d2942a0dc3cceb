import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compile, compileOk, texts } from './support.ts';

const BASE = `apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: a}
spec: {selector: {matchLabels: {app: x}}, targetPorts: [{number: 8000}]}
---
apiVersion: pilotlight.dev/v1alpha1
kind: ScalePolicy
metadata: {name: a}
spec:
  poolRef: {name: a}
  models: [{name: m, aliases: [x, y]}, {name: fr, adapter: french}]
  targets: [{name: t, process: {command: [vllm, "{port}"]}}]
`;
const rewrite = (name: string, rules: string, created = '2026-01-01T00:00:00Z', pool = 'a') => `---
apiVersion: llm-d.ai/v1alpha2
kind: InferenceModelRewrite
metadata: {name: ${name}, creationTimestamp: "${created}"}
spec: {poolRef: {name: ${pool}}, rules: ${rules}}
`;
const exact = (model: string, targets: string) => `{matches: [{model: {value: ${model}}}], targets: ${targets}}`;

/** What the model server is asked for when a call names `model`. */
function served(text: string, model: string, random = 0): string {
  const catalog = compileOk(text);
  return catalog.rewrite(catalog.resolveModel(model)!, model, random).servedModel;
}

describe('which rule counts', () => {
  const all = '{targets: [{modelRewrite: all}]}';
  test.each([
    { name: 'none that matches', rules: `[${exact('y', '[{modelRewrite: n}]')}]`, model: 'x', want: 'm' },
    {
      name: 'the one that names the model as it was called',
      rules: `[${exact('x', '[{modelRewrite: n}]')}]`,
      model: 'x',
      want: 'n',
    },
    { name: 'one for all', rules: `[${all}]`, model: 'x', want: 'all' },
    {
      name: 'one that names it before one for all',
      rules: `[${all}, ${exact('x', '[{modelRewrite: n}]')}]`,
      model: 'x',
      want: 'n',
    },
    {
      name: 'the earlier of two',
      rules: `[${exact('x', '[{modelRewrite: n}]')}, ${exact('x', '[{modelRewrite: o}]')}]`,
      model: 'x',
      want: 'n',
    },
    {
      name: 'a rule with several names',
      rules: '[{matches: [{model: {value: y}}, {model: {value: x}}], targets: [{modelRewrite: n}]}]',
      model: 'x',
      want: 'n',
    },
  ])('$name', ({ rules, model, want }) => {
    expect(served(BASE + rewrite('r', rules), model)).toBe(want);
  });

  test('of two objects the older, whatever the order of the files', () => {
    const young = rewrite('young', `[${exact('x', '[{modelRewrite: young}]')}]`, '2026-02-01T00:00:00Z');
    const old = rewrite('old', `[${exact('x', '[{modelRewrite: old}]')}, ${exact('y', '[{modelRewrite: old}]')}]`);
    expect(served(BASE + young + old, 'x')).toBe('old');
  });

  test('a name for all in an older object does not beat one that names the model in a newer', () => {
    const young = rewrite('young', `[${exact('x', '[{modelRewrite: young}]')}]`, '2026-02-01T00:00:00Z');
    expect(served(BASE + rewrite('old', `[${all}]`) + young, 'x')).toBe('young');
  });

  test('a rewritten name is not rewritten again', () => {
    expect(
      served(BASE + rewrite('r', `[${exact('x', '[{modelRewrite: y}]')}, ${exact('y', '[{modelRewrite: n}]')}]`), 'x'),
    ).toBe('m');
  });
});

test('a name of the pool brings its adapter; another is one that only the model server knows', () => {
  const catalog = compileOk(
    BASE + rewrite('r', `[${exact('x', '[{modelRewrite: fr}]')}, ${exact('y', '[{modelRewrite: other}]')}]`),
  );
  const resolution = catalog.resolveModel('x')!;
  expect(catalog.rewrite(resolution, 'x', 0)).toMatchObject({ servedModel: 'french', route: { adapter: 'french' } });
  const other = catalog.rewrite(catalog.resolveModel('y')!, 'y', 0);
  expect(other).toMatchObject({ servedModel: 'other', route: { name: 'other', aliases: [] } });
  expect(other.route.adapter).toBeUndefined();
  expect(other.pool).toBe(resolution.pool);
});

describe('targets', () => {
  const weighted = rewrite('r', `[${exact('x', '[{modelRewrite: n, weight: 1}, {modelRewrite: o, weight: 3}]')}]`);
  const even = rewrite('r', `[${exact('x', '[{modelRewrite: n}, {modelRewrite: o}]')}]`);
  const mixed = rewrite('r', `[${exact('x', '[{modelRewrite: n}, {modelRewrite: o, weight: 1}]')}]`);

  test.each([
    { text: weighted, random: 0, want: 'n' },
    { text: weighted, random: 0.2499, want: 'n' },
    { text: weighted, random: 0.25, want: 'o' },
    { text: weighted, random: 0.999_999, want: 'o' },
    { text: even, random: 0.4999, want: 'n' },
    { text: even, random: 0.5, want: 'o' },
    { text: mixed, random: 0, want: 'o' },
  ])('$random draws $want', ({ text, random, want }) => {
    expect(served(BASE + text, 'x', random)).toBe(want);
  });

  test('each gets its share, whatever the weights', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 1_000_000 }), { minLength: 1, maxLength: 8 }), (weights) => {
        const targets = weights.map((weight, index) => `{modelRewrite: t${index}, weight: ${weight}}`).join(', ');
        const catalog = compileOk(BASE + rewrite('r', `[${exact('x', `[${targets}]`)}]`));
        const resolution = catalog.resolveModel('x')!;
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        let sum = 0;
        for (const [index, weight] of weights.entries()) {
          const middle = (sum + weight / 2) / total;
          expect(catalog.rewrite(resolution, 'x', middle).servedModel).toBe(`t${index}`);
          sum += weight;
        }
      }),
      { numRuns: 50 },
    );
  });

  test('one without a weight beside one with a weight is told', () => {
    expect(texts(compile(BASE + mixed).problems)).toEqual([
      expect.stringContaining('spec.rules[0].targets[0]: has no weight while others have one, so it is never chosen'),
    ]);
  });
});

test('a rule for a name that nobody can call is told, with what to do', () => {
  expect(texts(compile(BASE + rewrite('r', `[${exact('q', '[{modelRewrite: n}]')}]`)).problems)).toEqual([
    expect.stringMatching(
      /^warning: .*spec\.rules\[0\]\.matches\[0\]\.model\.value: no call for "q" comes to the pool; add it/,
    ),
  ]);
});

test('a rewrite of a pool that is not there is an error', () => {
  expect(texts(compile(BASE + rewrite('r', '[]', undefined, 'b')).problems)).toEqual([
    expect.stringMatching(/InferenceModelRewrite default\/r: spec\.poolRef\.name: there is no pool "b"/),
  ]);
});

test('a rewrite in its current and its older group: the current one wins', () => {
  const current = rewrite('r', `[${exact('x', '[{modelRewrite: n}]')}]`);
  const older = rewrite('r', `[${exact('x', '[{modelRewrite: o}]')}]`, '2025-01-01T00:00:00Z').replace(
    'llm-d.ai',
    'inference.networking.x-k8s.io',
  );
  const { problems } = compile(BASE + older + current);
  expect(texts(problems)).toEqual([expect.stringContaining('the same rewrite exists under llm-d.ai/v1alpha2')]);
  expect(served(BASE + older + current, 'x')).toBe('n');
});
