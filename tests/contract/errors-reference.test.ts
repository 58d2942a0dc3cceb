import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { ERROR_CODES, PilotlightError } from '../../src/core/errors.ts';

const ROW = /^\| `(\w+)` \| (\d+) \| `(\w+)` \| (yes|no) \| (.+) \|$/gm;

test('docs/errors.md has every error of the catalogue with its status, type and retry, and no other', async () => {
  const text = await readFile(new URL('../../docs/errors.md', import.meta.url), 'utf8');
  const documented = [...text.matchAll(ROW)].map(([, code, status, type, retry]) => [
    code,
    Number(status),
    type,
    retry,
  ]);
  const catalogue = ERROR_CODES.map((code) => {
    const error = new PilotlightError(code, '');
    return [code, error.httpStatus, error.type, error.retryable ? 'yes' : 'no'];
  });
  expect(documented.sort()).toEqual(catalogue.sort());
});
