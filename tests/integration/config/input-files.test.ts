import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readInputFiles } from '../../../src/config/input-files.ts';
import { loadConfig } from '../../../src/config/load-config.ts';
import { createFileProbe } from '../../../src/config/objects/file-probe.ts';
import { formatProblem } from '../../../src/config/problem.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pilotlight-config-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const hash = (digit: string) => `sha256:${digit.repeat(64)}`;

function tenant(keysFile: string) {
  const file = join(folder, 'app.yaml');
  const head = 'apiVersion: pilotlight.dev/v1alpha1\nkind: Configuration\nspec:\n';
  writeFileSync(file, `${head}  tenants: [{name: a, keysFile: ${keysFile}}]\n`);
  return loadConfig({ files: [file], environment: {}, flags: [] });
}

test('a key file is found beside the file that names it; blank lines and comments are skipped', () => {
  mkdirSync(join(folder, 'keys'));
  writeFileSync(join(folder, 'keys/a'), `# web\n${hash('a')}\n\n${hash('B')}\n${hash('a')}`);
  const loaded = tenant('keys/a');
  expect(loaded.ok && loaded.config.tenants[0]!.keys).toEqual([hash('a'), hash('b')]);
});

test('a key file that is missing, and one with a line that is no hash, are problems; the line is not repeated', () => {
  const missing = tenant('nothing').problems.map(formatProblem);
  expect(missing).toEqual([
    `${join(folder, 'app.yaml')}:4:33: tenants[0].keysFile: "${join(folder, 'nothing')}" cannot be read; check that it is there and readable`,
  ]);
  writeFileSync(join(folder, 'keys'), `${hash('a')}\nsk-hunter2\n`);
  expect(tenant('keys').problems.map(formatProblem)).toEqual([
    `${join(folder, 'app.yaml')}:4:33: tenants[0].keysFile: "${join(folder, 'keys')}" line 2 is not a key hash; write "sha256:" and 64 hex digits`,
  ]);
});

test('files are read once, however they are named', () => {
  writeFileSync(join(folder, 'a.yaml'), 'a: 1');
  const { files } = readInputFiles([folder, join(folder, 'a.yaml'), join(folder, '..', folder.split('/').at(-1)!)]);
  expect(files.map((file) => file.name)).toEqual([join(folder, 'a.yaml')]);
});

test('an empty folder and a file that is too large are problems', () => {
  mkdirSync(join(folder, 'empty'));
  writeFileSync(join(folder, 'big.yaml'), Buffer.alloc(4 * 1024 * 1024 + 1, 0x20));
  const { problems } = readInputFiles([join(folder, 'empty'), join(folder, 'big.yaml')]);
  expect(problems.map((problem) => problem.message)).toEqual([
    'the folder has no *.yaml, *.yml or *.json file',
    'larger than 4Mi; split it, or name the right file',
  ]);
});

test('a program is one that can be executed: on the PATH, by full path, or relative to its folder', () => {
  writeFileSync(join(folder, 'run'), '#!/bin/sh\n', { mode: 0o755 });
  writeFileSync(join(folder, 'text'), 'hello', { mode: 0o644 });
  const probe = createFileProbe(`/nowhere:${folder}`);
  const found = ['run', 'text', 'gone', join(folder, 'run'), './run', folder].map((one) =>
    probe.isCommand(one, folder),
  );
  expect(found).toEqual([true, false, false, true, true, false]);
  expect([probe.isFolder(folder), probe.isFolder(join(folder, 'run'))]).toEqual([true, false]);
});
