import { globSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { KEY_COMMANDS } from '../../../../src/platform/redis/rights.ts';

const ACL = readFileSync('infra/redis/pilotlight.acl', 'utf8');
const granted = new Set([...ACL.matchAll(/ \+([a-z|]+)/g)].map(([, name = '']) => name));
const asked = new Set(KEY_COMMANDS.map((line) => line.split(' ')[0] ?? ''));
/** Neither has a key, or a script of BullMQ names it that nothing here runs. */
const NOT_ASKED = new Set(['time', 'publish', 'xread']);

function commandsOf(files: string, pattern: RegExp): Set<string> {
  const names = new Set<string>();
  for (const file of globSync(files)) {
    for (const [, name = ''] of readFileSync(file, 'utf8').matchAll(pattern)) names.add(name.toLowerCase());
  }
  return names;
}

test.each([
  ['our scripts', 'src/**/*.lua', /\bcall\('([A-Za-z]+)'/g, 30],
  ['the scripts of BullMQ', 'node_modules/bullmq/dist/cjs/scripts/*.js', /\brcall\(\s*["']([A-Za-z]+)["']/g, 40],
])('every command of %s is in the file of rights, and looked for at the start', (_whose, files, pattern, atLeast) => {
  const names = [...commandsOf(files, pattern)].filter((name) => name !== 'xread');
  expect(names.length).toBeGreaterThan(atLeast);
  expect(names.filter((name) => !granted.has(name))).toEqual([]);
  expect(names.filter((name) => !asked.has(name) && !NOT_ASKED.has(name))).toEqual([]);
});

test('what is looked for at the start is in the file of rights, and no right is a category', () => {
  expect([...asked].filter((name) => !granted.has(name))).toEqual([]);
  expect(ACL).not.toContain('+@');
  expect(ACL).toMatch(/resetkeys ~pilotlight:\* resetchannels &pilotlight:\* -@all /);
});
