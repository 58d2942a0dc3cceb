import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { takeFolderLock } from '../../src/platform/local-redis/folder-lock.ts';
import { runCommand } from '../../src/platform/local-redis/run-command.ts';

export interface PythonPackage {
  /** Folder in `.cache`, and what messages call it. */
  readonly name: string;
  /** As pip takes it, with an exact version. */
  readonly requirement: string;
}

export type PythonSearch =
  /** `folder` belongs into PYTHONPATH. */
  | { readonly kind: 'found'; readonly folder: string; readonly python: string }
  | { readonly kind: 'missing'; readonly why: string };

const PYTHON = 'python3';
const CACHE = fileURLToPath(new URL('../../.cache', import.meta.url));
const INSTALLED_WITHIN_MS = 5 * 60_000;

/**
 * Finds the package in `.cache/<name>`, or installs it there once; await it at the top of a test file, outside hooks with
 * their deadlines. Without Python the answer is `missing`, for `describe.skipIf`; with CI=true that is an error.
 */
export async function findPythonPackage(wanted: PythonPackage): Promise<PythonSearch> {
  const found = await searchPythonPackage(wanted);
  if (found.kind === 'missing') {
    const sentence = `No ${wanted.name} of Python for the tests: ${found.why}.`;
    if (process.env['CI'] === 'true') throw new Error(sentence);
    process.stderr.write(`\n*** ${sentence} The tests that need it are SKIPPED. ***\n\n`);
  }
  return found;
}

/** The same without a word about it. */
export async function searchPythonPackage({ name, requirement }: PythonPackage): Promise<PythonSearch> {
  const signal = AbortSignal.timeout(INSTALLED_WITHIN_MS);
  const version = await runCommand(
    PYTHON,
    ['-c', 'import platform, sys, pip; print(sys.version_info[0], sys.version_info[1], platform.machine(), sep="-")'],
    { timeoutMs: 30_000, signal },
  );
  if (!version.ok) return { kind: 'missing', why: `Python 3 with pip is needed (${version.problem})` };
  const cache = join(CACHE, name);
  const exact = requirement.split('==')[1] ?? requirement;
  const folder = join(cache, `${exact}-python-${version.output.trim()}`);
  if (existsSync(folder)) return { kind: 'found', folder, python: PYTHON };
  await mkdir(cache, { recursive: true });
  const lock = await takeFolderLock(join(cache, 'install.lock'), INSTALLED_WITHIN_MS, signal);
  try {
    if (existsSync(folder)) return { kind: 'found', folder, python: PYTHON };
    return await install(requirement, folder, cache, signal);
  } finally {
    await lock.release();
  }
}

/** Appears under its name only when it is whole. */
async function install(requirement: string, folder: string, cache: string, signal: AbortSignal): Promise<PythonSearch> {
  const draft = await mkdtemp(join(cache, 'draft-'));
  try {
    const quietly = ['-q', '--disable-pip-version-check', '--no-input'];
    const installed = await runCommand(PYTHON, ['-m', 'pip', 'install', ...quietly, '--target', draft, requirement], {
      timeoutMs: INSTALLED_WITHIN_MS,
      signal,
    });
    if (!installed.ok) return { kind: 'missing', why: `${requirement} could not be installed (${installed.problem})` };
    await rename(draft, folder);
    return { kind: 'found', folder, python: PYTHON };
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}
