import { readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isExecutable } from './binary.ts';
import { type CommandResult, runCommand } from './run-command.ts';

const APT_TIMEOUT_MS = 120_000;
const UNPACK_TIMEOUT_MS = 30_000;

/** On Debian and Ubuntu the server program is in redis-tools; redis-server adds its name. */
const PACKAGES = ['redis-server', 'redis-tools'];

export const DEBIAN_FOLDER = `debian-redis-${process.arch}`;

/**
 * Downloads the distribution's packages, checked by apt as always, and unpacks them into the folder. Needs no root and
 * installs nothing. `apt` is the path of apt-get; its companions are beside it.
 */
export async function fetchDebian(folder: string, apt: string, signal: AbortSignal): Promise<CommandResult> {
  const libraries = await missingLibraries(dirname(apt), signal);
  const options = { cwd: folder, timeoutMs: APT_TIMEOUT_MS, signal };
  const downloaded = await runCommand(apt, ['download', '--quiet', '--quiet', ...PACKAGES, ...libraries], options);
  if (!downloaded.ok) return downloaded;
  const dpkg = join(dirname(apt), 'dpkg');
  for (const file of (await readdir(folder)).filter((name) => name.endsWith('.deb'))) {
    const unpacked = await runCommand(dpkg, ['-x', file, folder], { ...options, timeoutMs: UNPACK_TIMEOUT_MS });
    if (!unpacked.ok) return unpacked;
    await rm(join(folder, file));
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
async function missingLibraries(toolFolder: string, signal: AbortSignal): Promise<string[]> {
  const options = { timeoutMs: UNPACK_TIMEOUT_MS, signal };
  const listed = await runCommand(join(toolFolder, 'apt-cache'), ['depends', '--important', 'redis-tools'], options);
  if (!listed.ok) return [];
  const names = [...listed.output.matchAll(/^\s+(?:Pre)?Depends: ((?:lib|lua)[^\s<>]+)$/gm)].map(
    (match) => match[1] ?? '',
  );
  const missing: string[] = [];
  for (const name of names) {
    const status = await runCommand(
      join(toolFolder, 'dpkg-query'),
      ['--show', '--showformat=${db:Status-Status}', name],
      options,
    );
    if (!status.ok || status.output !== 'installed') missing.push(name);
  }
  return missing;
}
