import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { flagKey, MODEL_SIM_FLAGS, modelSimOptions, parseModelSimOptions } from '../../../src/model-sim/options.ts';

test('the defaults are valid', () => {
  expect(parseModelSimOptions()).toMatchObject({
    ok: true,
    value: { port: 8_000, models: ['sim'], bootLoadMs: 0, faults: { slowFactor: 1 } },
  });
});

test('flags are keyed as commander keys them, and each explains itself', () => {
  expect(flagKey('--max-num-queued-reqs <number>')).toBe('maxNumQueuedReqs');
  const flags = Object.values(MODEL_SIM_FLAGS);
  expect(new Set(flags.map(({ flag }) => flagKey(flag))).size).toBe(flags.length);
  for (const { flag, help } of flags) {
    expect(flag).toMatch(/^--[a-z0-9-]+ <[^>]+>$/);
    expect(help.length).toBeGreaterThan(5);
  }
});

test('texts become values', () => {
  const texts = {
    port: '0',
    model: 'a, b',
    loraModules: 'x=/p/x,y=/p/y',
    maxLoras: '2',
    bootLoad: '1m30s',
    decodePerSequenceMs: '0.25',
    prefixCaching: 'off',
    faults: '{"hang":"all"}',
  };
  expect(parseModelSimOptions(texts)).toMatchObject({
    ok: true,
    value: {
      port: 0,
      models: ['a', 'b'],
      adapters: [
        { name: 'x', path: '/p/x' },
        { name: 'y', path: '/p/y' },
      ],
      bootLoadMs: 90_000,
      decodePerSequenceMs: 0.25,
      prefixCaching: false,
      faults: { hang: 'all' },
    },
  });
});

test('all problems are listed, each with its flag', () => {
  const parsed = parseModelSimOptions({
    port: '70000',
    bootLoad: '5',
    speed: '0',
    loadingAnswers: '404',
    model: 'a,,b',
    faults: '{"x":1}',
  });
  expect(parsed.ok).toBe(false);
  const problems = parsed.ok ? [] : parsed.problems;
  expect(problems.map((problem) => problem.split(':')[0])).toEqual(
    ['--model', '--port', '--boot-load', '--loading-answers', '--speed', '--faults'].sort(
      (a, b) => order(a) - order(b),
    ),
  );
});

test.each([
  { name: 'a model longer than its memory', texts: { numGpuBlocks: '10' }, flag: '--max-model-len' },
  { name: 'adapters while adapters are off', texts: { loraModules: 'a=/a' }, flag: '--lora-modules' },
  { name: 'counted crashes without a place to count', texts: { crashFirstBoots: '2' }, flag: '--crash-first-boots' },
])('$name is a conflict', ({ texts, flag }) => {
  expect(parseModelSimOptions(texts)).toEqual({ ok: false, problems: [expect.stringContaining(flag)] });
});

test('options set by a program are checked too', () => {
  expect(modelSimOptions({ port: 0 }).port).toBe(0);
  expect(() => modelSimOptions({ blocks: 1 })).toThrow('--max-model-len');
});

function order(flag: string): number {
  return Object.values(MODEL_SIM_FLAGS).findIndex((known) => known.flag.startsWith(`${flag} `));
}

test('the documentation lists every flag with its default', () => {
  const page = readFileSync(new URL('../../../docs/model-sim.md', import.meta.url), 'utf8');
  for (const { flag, fallback, help } of Object.values(MODEL_SIM_FLAGS)) {
    const shown = fallback === '' ? '–' : `\`${fallback}\``;
    expect(page).toContain(`| \`${flag.replaceAll('|', '\\|')}\` | ${shown} | ${help} |`);
  }
});
