/**
 * Writes what the chart takes from elsewhere in the repository: values.schema.json from the settings, its CRDs from
 * infra/crds, the table of values in docs/install-kubernetes.md. `--check` writes nothing and fails when something is
 * out of date. Options: `--chart FOLDER` (default infra/helm/pilotlight).
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';
import { crdTemplates } from './chart/crd-templates.mjs';
import { valuesSchema } from './chart/values-schema.mjs';
import { withValuesTable } from './chart/values-table.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { values: options } = parseArgs({
  options: { check: { type: 'boolean', default: false }, chart: { type: 'string' } },
});
const chart = options.chart ?? join(root, 'infra', 'helm', 'pilotlight');

const wanted = wantedFiles();
const outdated = [...wanted].filter(([path, text]) => read(path) !== text).map(([path]) => path);
const leftOver = crdFiles().filter((path) => !wanted.has(path));

if (options.check && outdated.length + leftOver.length > 0) {
  const names = [...outdated, ...leftOver].map((path) => relative(root, path)).join(', ');
  process.stderr.write(`out of date: ${names}; run: node scripts/write-chart.mjs\n`);
  process.exitCode = 1;
} else if (!options.check) {
  for (const path of outdated) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, wanted.get(path));
  }
  for (const path of leftOver) rmSync(path);
  process.stdout.write(`${outdated.length + leftOver.length} files changed\n`);
}

function wantedFiles() {
  const schema = valuesSchema();
  const files = new Map([[join(chart, 'values.schema.json'), `${JSON.stringify(schema, null, 2)}\n`]]);
  for (const [name, text] of Object.entries(crdTemplates(join(root, 'infra', 'crds')))) {
    files.set(join(chart, 'templates', 'crds', name), text);
  }
  const page = join(root, 'docs', 'install-kubernetes.md');
  const defaults = parse(readFileSync(join(chart, 'values.yaml'), 'utf8'));
  files.set(page, withValuesTable(readFileSync(page, 'utf8'), schema, defaults));
  return files;
}

function crdFiles() {
  const folder = join(chart, 'templates', 'crds');
  return existsSync(folder) ? readdirSync(folder).map((file) => join(folder, file)) : [];
}

function read(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}
