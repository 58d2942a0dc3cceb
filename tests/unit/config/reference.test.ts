import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { DOCUMENT_KINDS, documentSchema } from '../../../src/config/document-schema.ts';
import { REFERENCE_TABLES, withTables } from '../../../src/config/reference-table.ts';

const PAGES = ['docs/configuration.md', 'docs/objects.md', 'docs/authentication.md', 'docs/sqs.md'];

test.each(PAGES)('the tables of %s are what the program accepts', (file) => {
  const text = readFileSync(file, 'utf8');
  expect(text, `run: npx pilotlight config write-tables ${file}`).toBe(withTables(text));
});

test('every table stands in the documentation', () => {
  const text = PAGES.map((file) => readFileSync(file, 'utf8')).join('\n');
  const missing = Object.keys(REFERENCE_TABLES).filter((name) => !text.includes(`<!-- table:${name} -->`));
  expect(missing).toEqual([]);
});

test('a table with a name that does not exist is an error', () => {
  expect(() => withTables('<!-- table:colours -->\n<!-- end -->')).toThrow('no table is called "colours"');
});

test.each(DOCUMENT_KINDS)('%s has a JSON schema of its own', (kind) => {
  expect(documentSchema(kind)).toMatchObject({ type: 'object', additionalProperties: false });
});
