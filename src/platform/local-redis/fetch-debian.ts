import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { findOnPath, isExecutable } from './binary.ts';
import { type CommandResult, runCommand } from './run-command.ts';

const APT_TIMEOUT_MS = 120_000;
const UNPACK_TIMEOUT_MS = 30_000;

/** On Debian and Ubuntu the server program is in redis-tools; redis-server adds its name. */
const PACKAGES = ['redis-server', 'redis-tools'];

const TOOLS = ['apt-get', 'apt-cache', 'dpkg', 'dpkg-query'];

export const DEBIAN_FOLDER = `debian-redis-${process.arch}`;

/** Downloads the distribution's packages, checked by apt as always, and unpacks them into the folder. Needs no root and installs nothing. */
export async function fetchDebian(folder: string, searchPath: string, signal: AbortSignal): Promise<CommandResult> {
  const [apt, cache, dpkg, query] = await Promise.all(TOOLS.map((tool) => findOnPath([tool], searchPath)));
  if (!apt || !cache || !dpkg || !query) return { ok: false, problem: 'no apt-get on the PATH' };
  const libraries = await missingLibraries({ cache, query }, signal);
  const options = { cwd: folder, timeoutMs: APT_TIMEOUT_MS, signal };
  const downloaded = await runCommand(apt, ['download', '--quiet', '--quiet', ...PACKAGES, ...libraries], options);
  if (!downloaded.ok) return downloaded;
  for (const file of (await readdir(folder)).filter((name) => name.endsWith('.deb'))) {
    const unpacked = await runCommand(dpkg, ['-x', file, folder], { ...options, timeoutMs: UNPACK_TIMEOUT_MS });
    if (!unpacked.ok) return unpacked;
  }
  return downloaded;
}

/** The server program inside an unpacked folder. */
export async function debianServer(folder: string): Promise<string | undefined> {
  const path = join(folder, 'usr', 'bin', 'redis-server');
  return (await isExecutable(path)) ? path : undefined;
}

/** Where the unpacked libraries are, e.g. usr/lib/x86_64-linux-gnu. */
export async function debianLibraryFolders(folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const parent of [join(folder, 'usr', 'lib'), join(folder, 'lib')]) {
    const names = await readdir(parent).catch(() => []);
    found.push(...names.filter((name) => name.includes('-linux-')).map((name) => join(parent, name)));
  }
  return found;
}

/** The libraries that redis-tools depends on and this system has not. */
async function missingLibraries(tools: { cache: string; query: string }, signal: AbortSignal): Promise<string[]> {
  const options = { timeoutMs: UNPACK_TIMEOUT_MS, signal };
  const listed = await runCommand(tools.cache, ['depends', '--important', 'redis-tools'], options);
  if (!listed.ok) return [];
  const names = [...listed.output.matchAll(/^\s+(?:Pre)?Depends: ((?:lib|lua)[^\s<>]+)$/gm)].map(
    (match) => match[1] ?? '',
  );
  const missing: string[] = [];
  for (const name of names) {
    const status = await runCommand(tools.query, ['--show', '--showformat=${db:Status-Status}', name], options);
    if (!status.ok || status.output !== 'installed') missing.push(name);
  }
  return missing;
}
