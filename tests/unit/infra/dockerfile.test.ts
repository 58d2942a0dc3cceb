import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const text = readFileSync('infra/docker/Dockerfile', 'utf8');
const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
const of = (word: string) =>
  lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1));
const finalStage = lines.slice(lines.findLastIndex((line) => line.startsWith('FROM ')));

test('every stage has the one base that a build argument names, by digest if wanted', () => {
  expect(of('FROM').map((from) => from.split(' ')[0])).toEqual(of('FROM').map(() => '${NODE_IMAGE}'));
  expect(of('ARG')).toEqual([expect.stringMatching(/^NODE_IMAGE=node:24-\w+-slim$/)]);
});

test('the base has the Node that the repository pins, in its first number', () => {
  const { devDependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as {
    devDependencies: Record<string, string>;
  };
  expect(of('ARG')[0]).toContain(`node:${devDependencies['node']!.split('.')[0]}-`);
});

test('it runs as a number that is not root, and what it starts gets the signals itself', () => {
  expect(finalStage).toContain('USER 10001:10001');
  expect(finalStage.findLast((line) => line.startsWith('ENTRYPOINT'))).toMatch(/^ENTRYPOINT \["node", "\/.*"\]$/);
  expect(finalStage.some((line) => line.startsWith('RUN '))).toBe(false);
});

test('packages run no scripts while it is built, and only those of production are in the image', () => {
  const installs = of('RUN').filter((command) => command.startsWith('npm install'));
  expect(installs).toHaveLength(2);
  for (const command of installs) expect(command).toContain('--ignore-scripts');
  const modules = finalStage.filter((line) => line.includes('node_modules'));
  expect(modules).toEqual(['COPY --from=packages /packages/node_modules ./node_modules']);
  expect(text).toMatch(/AS packages[^F]*--omit=dev/s);
});

test('the build sees the names it copies and no more', () => {
  const [everything, ...allowed] = readFileSync('infra/docker/Dockerfile.dockerignore', 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  expect(everything).toBe('*');
  const names = allowed.map((line) => line.slice(1));
  const copied = of('COPY')
    .filter((copy) => !copy.startsWith('--from='))
    .flatMap((copy) => copy.split(' ').slice(0, -1));
  expect([...new Set(copied)].sort()).toEqual([...names].sort());
  for (const name of names) expect(existsSync(name), name).toBe(true);
});
