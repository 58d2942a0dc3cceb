import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';

const CHART = 'infra/helm/pilotlight';

function check(chart: string): { code: number | null; stderr: string } {
  const { status, stderr } = spawnSync(process.execPath, ['scripts/write-chart.mjs', '--check', '--chart', chart], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  return { code: status, stderr };
}

function copyOfChart(): string {
  const folder = mkdtempSync(join(tmpdir(), 'pilotlight-chart-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  cpSync(CHART, folder, { recursive: true });
  return folder;
}

test('schema, CRDs and the table of values are those of the settings and of infra/crds', () => {
  expect(check(CHART)).toEqual({ code: 0, stderr: '' });
});

test('a schema that somebody edited is out of date, and so is a CRD that infra/crds does not have', () => {
  const chart = copyOfChart();
  writeFileSync(join(chart, 'templates', 'crds', 'stray.yaml'), 'kind: CustomResourceDefinition\n');
  const schema = join(chart, 'values.schema.json');
  writeFileSync(schema, readFileSync(schema, 'utf8').replace('"maxHold"', '"maxHolt"'));
  const { code, stderr } = check(chart);
  expect(code).toBe(1);
  expect(stderr).toContain('values.schema.json');
  expect(stderr).toContain('stray.yaml');
  expect(stderr).toContain('run: node scripts/write-chart.mjs');
});

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: unknown;
}

test('every default of values.yaml has a place in the schema, and the schema no value without a default', () => {
  const schema = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8')) as Schema;
  const values = parse(readFileSync(join(CHART, 'values.yaml'), 'utf8')) as Record<string, unknown>;
  const { global: _global, ...own } = schema.properties!;
  expect(pathsOfSchema({ properties: own })).toEqual(pathsOfValues(values, { properties: own }));
});

/** Down to what is a value of its own: lists, free mappings and everything below config. */
function pathsOfSchema(schema: Schema, prefix = ''): string[] {
  return Object.entries(schema.properties ?? {})
    .flatMap(([key, one]) => {
      const path = `${prefix}${key}`;
      return isSection(one, path) ? pathsOfSchema(one, `${path}.`) : [path];
    })
    .sort();
}

function pathsOfValues(values: Readonly<Record<string, unknown>>, schema: Schema, prefix = ''): string[] {
  return Object.entries(values)
    .flatMap(([key, value]) => {
      const path = `${prefix}${key}`;
      const one = schema.properties?.[key] ?? {};
      return isSection(one, path) ? pathsOfValues(value as Record<string, unknown>, one, `${path}.`) : [path];
    })
    .sort();
}

function isSection(schema: Schema, path: string): boolean {
  return path !== 'config' && schema.properties !== undefined && schema.additionalProperties === false;
}

test('a value that is not documented cannot be added: the page has one row for each', () => {
  const page = readFileSync('docs/install-kubernetes.md', 'utf8');
  const schema = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8')) as Schema;
  const { global: _global, ...own } = schema.properties!;
  const missing = pathsOfSchema({ properties: own }).filter((path) => !page.includes(`| \`${path}\` |`));
  expect(missing).toEqual([]);
});
