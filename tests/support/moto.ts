import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { findPythonPackage, type PythonSearch, searchPythonPackage } from './python-package.ts';

/** An S3 and SQS server that is not AWS (https://github.com/getmoto/moto). Everything it holds is in its memory. */
export interface Moto {
  /** "http://127.0.0.1:<port>", for path-style S3 and for SQS. */
  readonly endpoint: string;
  readonly pid: number;
  stop(): Promise<void>;
}

/** Any pair does; the SDK refuses to send without one. */
export const MOTO_CREDENTIALS = { accessKeyId: 'test', secretAccessKey: 'test' } as const;

const MOTO = { name: 'moto', requirement: 'moto[server]==5.2.5' } as const;
const SERVER = fileURLToPath(new URL('./moto-server.py', import.meta.url));
const STARTED_WITHIN_MS = 60_000;

/** Finds moto, or installs it once; see `findPythonPackage`. */
export function findMoto(): Promise<PythonSearch> {
  return findPythonPackage(MOTO);
}

/** A server of its own for the caller, on a free port of 127.0.0.1. It ends with `stop`, or with this process. */
export async function startMoto(): Promise<Moto> {
  const found = await searchPythonPackage(MOTO);
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
