import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { TenantSettings } from '../../../src/config/config.ts';
import { followKeyFiles } from '../../../src/config/key-files.ts';
import { until } from '../../support/until.ts';
import { identity } from '../../unit/ingress/support/fake-catalog.ts';

const hash = (letter: string) => `sha256:${letter.repeat(64)}`;

let folder: string;
let versions = 0;
let following: { close(): Promise<void> } | null = null;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pilotlight-keys-'));
});
afterEach(async () => {
  await following?.close();
  await rm(folder, { recursive: true });
});

/** Writes the file as the kubelet mounts a Secret: into a new folder, then one link is swapped. */
async function mount(text: string | null): Promise<void> {
  versions += 1;
  const version = `..version_${versions}`;
  await mkdir(join(folder, version));
  if (text !== null) await writeFile(join(folder, version, 'keys'), text);
  await symlink(version, join(folder, '..data_tmp'));
  await rename(join(folder, '..data_tmp'), join(folder, '..data'));
}

async function follow() {
  await mount(`${hash('a')}\n`);
  await symlink('..data/keys', join(folder, 'keys'));
  const tenants: TenantSettings[] = [
    {
      identity: identity({ tenant: 'acme' }),
      keys: [hash('f'), hash('a')],
      ownKeys: [hash('f')],
      keysFile: join(folder, 'keys'),
      serviceAccounts: [],
      oidc: [],
    },
  ];
  const seen: (readonly string[])[] = [];
  const problems: string[] = [];
  following = followKeyFiles(tenants, {
    changed: (read) => seen.push(read[0]!.keys),
    refused: (told) => problems.push(...told),
  });
  return { seen, problems };
}

test('a Secret that is rotated gives the tenant its new keys, beside those of the configuration', async () => {
  const { seen, problems } = await follow();
  await mount(`# rotated\n${hash('B')}\n${hash('c')}\n`);
  await until(() => seen.length > 0, 'the new keys');
  expect(seen).toEqual([[hash('f'), hash('b'), hash('c')]]);
  expect(problems).toEqual([]);
});

test('a file that goes missing or holds something else changes nothing and is told once, until it is mended', async () => {
  const { seen, problems } = await follow();
  await mount('sk-plain-text-key\n');
  await until(() => problems.length > 0, 'the problem');
  expect(problems).toEqual([
    `tenants[0].keysFile: "${join(folder, 'keys')}" line 1 is not a key hash; write "sha256:" and 64 hex digits`,
  ]);
  await mount(null);
  await until(() => problems.length > 1, 'the second problem');
  expect(problems[1]).toContain('cannot be read');
  expect(seen).toEqual([]);
  await mount(hash('d'));
  await until(() => seen.length > 0, 'the new keys');
  expect(seen).toEqual([[hash('f'), hash('d')]]);
});

test('without such files nothing is followed', () => {
  expect(followKeyFiles([], { changed: () => undefined, refused: () => undefined })).toBeNull();
});
