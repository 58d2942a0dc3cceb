import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  type FileCatalogSource,
  openFileCatalog,
  type Reload,
} from '../../../src/config/objects/file-catalog-source.ts';
import { formatProblem } from '../../../src/config/problem.ts';
import { configurationSchema } from '../../../src/config/schema/configuration.ts';
import { until } from '../../support/until.ts';

const settings = configurationSchema.parse({});
let folder: string;
let source: FileCatalogSource | undefined;
let reloads: Reload[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pilotlight-objects-'));
  reloads = [];
});

afterEach(async () => {
  await source?.close();
  source = undefined;
  rmSync(folder, { recursive: true });
});

const pool = (name: string) => `apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: ${name}}
spec: {selector: {matchLabels: {app: x}}, targetPorts: [{number: 8000}]}
---
apiVersion: pilotlight.dev/v1alpha1
kind: ScalePolicy
metadata: {name: ${name}}
spec:
  poolRef: {name: ${name}}
  models: [{name: model-${name}}]
  targets: [{name: t, process: {command: [sh, "{port}"]}}]
`;

function follow(...files: readonly string[]): FileCatalogSource {
  const opened = openFileCatalog({ files, settings });
  if (!opened.ok) throw new Error(opened.problems.map(formatProblem).join('\n'));
  source = opened.source;
  source.watch((reload) => reloads.push(reload));
  return source;
}

const pools = (followed: FileCatalogSource) => [...followed.current().pools.keys()];

test('an edit is accepted, listeners hear of it, and the generation grows', async () => {
  const file = join(folder, 'a.yaml');
  writeFileSync(file, pool('a'));
  const followed = follow(file);
  const heard: number[] = [];
  const stop = followed.onChange((catalog) => heard.push(catalog.generation));
  const { createdAtEpochMs } = followed.current().models()[0]!;
  writeFileSync(file, `${pool('a')}---\n${pool('b')}`);
  await until(() => pools(followed).length === 2, 'two pools');
  expect(heard).toEqual([2]);
  expect(followed.current().models()[0]).toMatchObject({ name: 'model-a', createdAtEpochMs });
  stop();
  writeFileSync(file, pool('b'));
  await until(() => pools(followed).join() === 'default/b', 'pool b alone');
  expect(heard).toEqual([2]);
});

test('a broken edit keeps the old objects and says what is wrong and where; the repair is accepted', async () => {
  const file = join(folder, 'a.yaml');
  writeFileSync(file, pool('a'));
  const followed = follow(file);
  writeFileSync(file, pool('a').replace('models:', 'modles:'));
  await until(() => reloads.length > 0, 'the first reading');
  expect(reloads[0]?.kind).toBe('refused');
  expect(followed.problems().map(formatProblem)).toEqual([
    `${file}:11:3: ScalePolicy default/a: spec.modles: unknown key; did you mean "models"?`,
  ]);
  expect(followed.current().resolveModel('model-a')).toBeDefined();
  writeFileSync(file, 'a: [');
  await until(() => formatProblem(followed.problems()[0]!).includes('not valid YAML'), 'a syntax error');
  writeFileSync(file, pool('a').replace('model-a', 'model-c'));
  await until(() => followed.current().resolveModel('model-c') !== undefined, 'the repair');
  expect(followed.problems()).toEqual([]);
  expect(followed.current().generation).toBe(2);
});

test('a file that is gone keeps the old objects until it is back', async () => {
  const file = join(folder, 'a.yaml');
  writeFileSync(file, pool('a'));
  const followed = follow(file);
  unlinkSync(file);
  await until(() => followed.problems().length > 0, 'the missing file');
  expect(formatProblem(followed.problems()[0]!)).toBe(
    `${file}: cannot be read: no such file or folder; check the -f argument`,
  );
  expect(pools(followed)).toEqual(['default/a']);
  writeFileSync(file, pool('b'));
  await until(() => pools(followed).join() === 'default/b', 'the file back');
});

test('an editor that writes a new file and renames it over the old one', async () => {
  const file = join(folder, 'a.yaml');
  writeFileSync(file, pool('a'));
  const followed = follow(file);
  for (const name of ['b', 'c']) {
    writeFileSync(join(folder, '.a.yaml.swp'), pool(name));
    renameSync(join(folder, '.a.yaml.swp'), file);
    await until(() => pools(followed).join() === `default/${name}`, 'the renamed file');
  }
});

test('a ConfigMap mount, where a link to a folder is swapped', async () => {
  const version = (name: string, text: string) => {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, 'a.yaml'), text);
    symlinkSync(name, join(folder, '..data_tmp'));
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
  };
  version('..1', pool('a'));
  symlinkSync('..data/a.yaml', join(folder, 'a.yaml'));
  const followed = follow(folder);
  version('..2', pool('b'));
  await until(() => pools(followed).join() === 'default/b', 'the first swap');
  version('..3', pool('c'));
  rmSync(join(folder, '..1'), { recursive: true });
  await until(() => pools(followed).join() === 'default/c', 'the second swap');
});

test('a folder: files come and go, in the order of their names; others are not read', async () => {
  writeFileSync(join(folder, 'b.yaml'), pool('b'));
  writeFileSync(join(folder, 'notes.txt'), 'not: [yaml');
  writeFileSync(join(folder, '.hidden.yaml'), 'not: [yaml');
  const followed = follow(folder);
  writeFileSync(join(folder, 'a.json'), JSON.stringify({ ...poolObject('j') }));
  await until(() => pools(followed).length === 2, 'two pools');
  expect(pools(followed)).toEqual(['default/j', 'default/b']);
  unlinkSync(join(folder, 'a.json'));
  await until(() => pools(followed).length === 1, 'one pool');
});

test('a comment changes nothing, and changed settings are only reported', async () => {
  const file = join(folder, 'a.yaml');
  writeFileSync(file, pool('a'));
  const followed = follow(file);
  writeFileSync(file, `# why\n${pool('a')}`);
  await until(() => reloads.length === 1, 'the comment');
  expect(reloads[0]).toEqual({ kind: 'same', problems: [] });
  writeFileSync(file, `${pool('a')}---\napiVersion: pilotlight.dev/v1alpha1\nkind: Configuration\n`);
  await until(() => followed.problems().length > 0, 'the settings');
  expect(followed.problems().map(formatProblem)).toEqual([
    `warning: ${file}:14:1: Configuration: the settings changed; they are read at the start only: restart to apply them`,
  ]);
  expect(followed.current().generation).toBe(1);
});

test('a file that becomes empty is an accident, not the wish to delete everything', async () => {
  const file = join(folder, 'a.yaml');
  writeFileSync(file, pool('a'));
  const followed = follow(file);
  writeFileSync(file, '# nothing left\n');
  await until(() => reloads.length > 0, 'the empty file');
  expect(reloads.map((reload) => [reload.kind, ...reload.problems.map(formatProblem)])).toEqual([
    ['refused', `${file}: holds no object any more; the old ones stay in force: put them back, or stop Pilotlight`],
  ]);
  expect(pools(followed)).toEqual(['default/a']);
});

test('files with errors open nothing', () => {
  const file = join(folder, 'a.yaml');
  writeFileSync(file, pool('a').replace('ScalePolicy', 'ScalePolcy'));
  const opened = openFileCatalog({ files: [file, join(folder, 'none.yaml')], settings });
  expect(opened.ok).toBe(false);
  expect(opened.ok ? [] : opened.problems.map(formatProblem)).toEqual([
    `${join(folder, 'none.yaml')}: cannot be read: no such file or folder; check the -f argument`,
    `${file}:7:7: kind: unknown kind "ScalePolcy"; did you mean "ScalePolicy"?`,
    `warning: ${file}:3:18: InferencePool default/a: metadata.name: no ScalePolicy is about it, so it cannot wake; add one with poolRef: {name: a}`,
  ]);
});

function poolObject(name: string) {
  return {
    apiVersion: 'inference.networking.k8s.io/v1',
    kind: 'InferencePool',
    metadata: { name },
    spec: { selector: { matchLabels: { app: 'x' } }, targetPorts: [{ number: 8000 }] },
  };
}
