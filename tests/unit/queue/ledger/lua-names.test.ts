import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const folder = new URL('../../../../src/queue/adapters/lua/', import.meta.url);

test('no two files of the ledger define a function of one name: the later would silently replace the earlier', () => {
  const names = readdirSync(folder).flatMap((file) => {
    const text = readFileSync(new URL(file, folder), 'utf8');
    return [...text.matchAll(/^function ([\w.]+)/gm)].map(([, name]) => name!);
  });
  expect(names.length).toBeGreaterThan(100);
  expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
});
