import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { cacheFolderName, TOOLS } from './support/tools/catalogue.ts';
import { downloadRelease } from './support/tools/download.ts';
import { findTool } from './support/tools/find-tool.ts';

const OLD = 'echo "etcd Version: 3.4.30"';
const NEW = 'echo "etcd Version: 3.6.1"';

test('a program is taken from KUBEBUILDER_ASSETS before the PATH, and from there before the cache', async () => {
  const folder = await tempFolder();
  const [assets, onPath, cache] = [join(folder, 'assets'), join(folder, 'bin'), join(folder, 'cache')];
  const cached = await script(join(cache, cacheFolderName(TOOLS.etcd), 'etcd'), NEW);
  const find = (env: NodeJS.ProcessEnv) => findTool('etcd', { env, caches: [cache], fetch: false });
  expect(await find({ PATH: onPath })).toEqual({ kind: 'found', path: cached, origin: 'cache' });
  const inPath = await script(join(onPath, 'etcd'), NEW);
  expect(await find({ PATH: onPath })).toEqual({ kind: 'found', path: inPath, origin: 'PATH' });
  const asset = await script(join(assets, 'etcd'), OLD);
  const found = await find({ PATH: onPath, KUBEBUILDER_ASSETS: assets });
  expect(found).toEqual({ kind: 'found', path: asset, origin: 'KUBEBUILDER_ASSETS' });
});

test('a program of the PATH that is too old is passed over, and the reason names every place that was looked at', async () => {
  const folder = await tempFolder();
  await script(join(folder, 'etcd'), OLD);
  const found = await findTool('etcd', { env: { PATH: folder }, caches: [join(folder, 'cache')], fetch: false });
  expect(found).toEqual({
    kind: 'missing',
    why: `etcd is not in KUBEBUILDER_ASSETS, on the PATH (3.5 or newer) or in ${join(folder, 'cache')}`,
  });
});

test('a release is taken only with the checksum that is published beside it', async () => {
  const folder = await tempFolder();
  const content = '#!/bin/sh\n';
  const digest = createHash('sha256').update(content).digest('hex');
  const sums: Record<string, string> = {
    '/good.sum': `${'0'.repeat(64)}  other\n${digest}  tool\n`,
    '/bad.sum': '0'.repeat(64),
  };
  const server = createServer((request, response) => response.end(sums[request.url ?? ''] ?? content));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.close();
  });
  const { port } = server.address() as { port: number };
  const base = `http://127.0.0.1:${port}`;
  const path = join(folder, 'tool');
  const load = (sum: string) =>
    downloadRelease({ url: `${base}/tool`, checksumUrl: `${base}/${sum}` }, path, AbortSignal.timeout(10_000));
  expect(await load('bad.sum')).toBe(`${base}/tool has SHA-256 ${digest}, published is ${'0'.repeat(64)}`);
  expect(await load('good.sum')).toBeNull();
});

async function tempFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'pilotlight-tools-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function script(path: string, line: string): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `#!/bin/sh\n${line}\n`);
  await chmod(path, 0o755);
  return path;
}
