import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { takeFolderLock } from '../../src/platform/local-redis/folder-lock.ts';
import { runCommand } from '../../src/platform/local-redis/run-command.ts';

/** An S3 and SQS server that is not AWS (https://github.com/getmoto/moto). Everything it holds is in its memory. */
export interface Moto {
  /** "http://127.0.0.1:<port>", for path-style S3 and for SQS. */
  readonly endpoint: string;
  readonly pid: number;
  stop(): Promise<void>;
}

export type MotoSearch =
  | { readonly kind: 'found'; readonly folder: string; readonly python: string }
  | { readonly kind: 'missing'; readonly why: string };

/** Any pair does; the SDK refuses to send without one. */
export const MOTO_CREDENTIALS = { accessKeyId: 'test', secretAccessKey: 'test' } as const;

const VERSION = '5.2.5';
const PYTHON = 'python3';
const CACHE = fileURLToPath(new URL('../../.cache/moto', import.meta.url));
const SERVER = fileURLToPath(new URL('./moto-server.py', import.meta.url));
const INSTALLED_WITHIN_MS = 5 * 60_000;
const STARTED_WITHIN_MS = 60_000;

/**
 * Finds moto in `.cache/moto`, or installs it there once; await it at the top of a test file, outside hooks with their
 * deadlines. Without Python the answer is `missing`, for `describe.skipIf`; with CI=true that is an error.
 */
export async function findMoto(): Promise<MotoSearch> {
  const found = await searchMoto();
  if (found.kind === 'missing') {
    const sentence = `No S3 and SQS server for the tests: ${found.why}.`;
    if (process.env['CI'] === 'true') throw new Error(sentence);
    process.stderr.write(`\n*** ${sentence} The tests that need it are SKIPPED. ***\n\n`);
  }
  return found;
}

/** A server of its own for the caller, on a free port of 127.0.0.1. It ends with `stop`, or with this process. */
export async function startMoto(): Promise<Moto> {
  const found = await searchMoto();
  if (found.kind === 'missing') throw new Error(`moto cannot be started: ${found.why}`);
  const child = spawn(found.python, [SERVER], {
    env: { ...process.env, PYTHONPATH: found.folder, PYTHONDONTWRITEBYTECODE: '1' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  try {
    const port = await firstLine(child);
    return {
      endpoint: `http://127.0.0.1:${port}`,
      pid: child.pid ?? 0,
      async stop() {
        child.kill('SIGKILL');
        await exited;
      },
    };
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
}

function firstLine(child: ChildProcessByStdio<Writable, Readable, Readable>): Promise<string> {
  return new Promise((resolve, reject) => {
    let complaints = '';
    child.stderr.setEncoding('utf8');
    child.stderr.on('data', (text: string) => {
      complaints = (complaints + text).slice(-2_000);
    });
    const timer = setTimeout(
      () => reject(new Error(`moto did not start within ${STARTED_WITHIN_MS} ms`)),
      STARTED_WITHIN_MS,
    );
    child.once('error', reject);
    child.once('exit', () => reject(new Error(`moto ended at once: ${complaints}`)));
    createInterface(child.stdout).once('line', (line) => {
      clearTimeout(timer);
      resolve(line);
    });
  });
}

async function searchMoto(): Promise<MotoSearch> {
  const signal = AbortSignal.timeout(INSTALLED_WITHIN_MS);
  const version = await runCommand(
    PYTHON,
    ['-c', 'import platform, sys, pip; print(sys.version_info[0], sys.version_info[1], platform.machine(), sep="-")'],
    { timeoutMs: 30_000, signal },
  );
  if (!version.ok) return { kind: 'missing', why: `Python 3 with pip is needed (${version.problem})` };
  const folder = join(CACHE, `${VERSION}-python-${version.output.trim()}`);
  if (existsSync(folder)) return { kind: 'found', folder, python: PYTHON };
  await mkdir(CACHE, { recursive: true });
  const lock = await takeFolderLock(join(CACHE, 'install.lock'), INSTALLED_WITHIN_MS, signal);
  try {
    if (existsSync(folder)) return { kind: 'found', folder, python: PYTHON };
    return await install(folder, signal);
  } finally {
    await lock.release();
  }
}

/** Appears under its name only when it is whole. */
async function install(folder: string, signal: AbortSignal): Promise<MotoSearch> {
  const draft = await mkdtemp(join(CACHE, 'draft-'));
  try {
    const installed = await runCommand(
      PYTHON,
      [
        '-m',
        'pip',
        'install',
        '-q',
        '--disable-pip-version-check',
        '--no-input',
        '--target',
        draft,
        `moto[server]==${VERSION}`,
      ],
      { timeoutMs: INSTALLED_WITHIN_MS, signal },
    );
    if (!installed.ok) return { kind: 'missing', why: `moto ${VERSION} could not be installed (${installed.problem})` };
    await rename(draft, folder);
    return { kind: 'found', folder, python: PYTHON };
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}
