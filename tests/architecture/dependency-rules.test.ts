import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { sourceFiles } from './source-files.ts';

interface CruiseResult {
  modules: { source: string }[];
  summary: { violations: { from: string; rule: { name: string } }[] };
}

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const fixture = join(root, 'tests', 'architecture', 'violations');
const rulesFile = join(root, '.dependency-cruiser.cjs');

/** Runs the checker as `npm run boundaries` does, over `src` of the folder. */
async function cruise(folder: string): Promise<CruiseResult> {
  const checker = join(root, 'node_modules', 'dependency-cruiser', 'bin', 'dependency-cruiser.mjs');
  const args = [checker, '--config', rulesFile, '--output-type', 'json', 'src'];
  const output = await new Promise<string>((resolve, reject) => {
    const options = { cwd: folder, maxBuffer: 64 * 1_048_576, timeout: 60_000 };
    execFile(process.execPath, args, options, (_error, stdout, stderr) => {
      if (stdout === '') reject(new Error(`dependency-cruiser said nothing but: ${stderr}`));
      else resolve(stdout);
    });
  });
  return JSON.parse(output) as CruiseResult;
}

const found = ({ summary }: CruiseResult) => summary.violations.map(({ rule, from }) => `${rule.name}: ${from}`).sort();

test('the source keeps every dependency rule, and the checker has read every file of it', async () => {
  const result = await cruise(root);
  expect(found(result)).toEqual([]);
  const read = result.modules.map(({ source }) => source).filter((source) => /^src\/.*\.ts$/.test(source));
  expect(read.sort()).toEqual(await sourceFiles(root));
});

/** One planted violation for each rule: a checker that has gone blind fails here. */
const PLANTED = [
  'areas-meet-in-roles: src/queue/imports-another-area.ts',
  'config-knows-only-the-core: src/config/imports-platform.ts',
  'core-imports-nothing: src/core/imports-config.ts',
  'everything-resolves: src/cli/imports-nothing-real.ts',
  'loops-never-import-adapters: src/dispatcher/imports-its-adapter.ts',
  'no-cycles: src/roles/cycle-one.ts',
  'no-dev-packages-in-src: src/cli/imports-a-dev-package.ts',
  'npm-packages-only-at-the-edge: src/picker/imports-a-package.ts',
  'one-way-to-kubernetes: src/platform/imports-kubernetes.ts',
  'platform-knows-no-area: src/platform/imports-an-area.ts',
  'policy-is-pure: src/queue/policy/imports-a-loop.ts',
  'src-never-imports-tests: src/cli/imports-tests.ts',
];

test('each planted violation is found, by its rule and no other', async () => {
  expect(found(await cruise(fixture))).toEqual(PLANTED);
});

test('every rule has a planted violation', () => {
  const { forbidden } = createRequire(import.meta.url)(rulesFile) as { forbidden: { name: string }[] };
  expect(PLANTED.map((violation) => violation.split(':')[0])).toEqual(forbidden.map(({ name }) => name).sort());
});
