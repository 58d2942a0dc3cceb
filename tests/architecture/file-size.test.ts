import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { sourceFiles } from './source-files.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const MAX_LINES = 400;

test(`no source file is longer than ${MAX_LINES} lines`, async () => {
  const files = await sourceFiles(root);
  expect(files.length).toBeGreaterThan(50);
  const tooLong: string[] = [];
  for (const file of files) {
    const lines = (await readFile(join(root, file), 'utf8')).trimEnd().split('\n').length;
    if (lines > MAX_LINES) tooLong.push(`${file}: ${lines}`);
  }
  expect(tooLong).toEqual([]);
});
