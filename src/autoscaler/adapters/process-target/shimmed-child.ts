import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const SHIM = fileURLToPath(new URL('./shim.sh', import.meta.url));

export interface ChildSpec {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workingDir: string | undefined;
  /** Output of the command, appended. */
  readonly logPath: string;
  /** Between TERM and KILL when this process dies. */
  readonly graceMs: number;
}

/** How a command ended: its exit code (above 128: a signal), or null when its shim was killed before it could tell. */
export interface ChildExit {
  readonly code: number | null;
}

/** One command under the shim: it and all it started are gone when `exited` resolves, and when this process dies. */
export class ShimmedChild {
  readonly pid: number;
  readonly exited: Promise<ChildExit>;
  readonly #gone = new AbortController();

  constructor(child: ChildProcess, pid: number) {
    this.pid = pid;
    this.exited = this.#watch(child);
  }

  get running(): boolean {
    return !this.#gone.signal.aborted;
  }

  /** Aborts when the command has ended. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** Asks the command to end; its shim passes the signal on. */
  terminate(): void {
    if (this.running) signal(this.pid, 'SIGTERM');
  }

  /** Ends the command and everything it started, at once. */
  kill(): void {
    if (this.running) signal(-this.pid, 'SIGKILL');
  }

  async #watch(child: ChildProcess): Promise<ChildExit> {
    const report = readReport(child.stdio[3] as Readable);
    await new Promise<void>((resolve) => child.once('exit', () => resolve()));
    this.#gone.abort();
    // The shim kills its group itself; this is for a shim that was killed.
    signal(-this.pid, 'SIGKILL');
    await groupGone(this.pid);
    return { code: await report };
  }
}

/** Starts a command. Throws when the system refuses (no more processes, no shell). */
export async function startChild(spec: ChildSpec): Promise<ShimmedChild> {
  const log = openSync(spec.logPath, 'a', 0o600);
  try {
    const graceS = Math.max(1, Math.ceil(spec.graceMs / 1_000));
    const child = spawn('/bin/sh', [SHIM, `${graceS}`, spec.program, ...spec.args], {
      cwd: spec.workingDir,
      env: spec.env,
      detached: true,
      stdio: ['ignore', log, log, 'pipe'],
    });
    if (child.pid !== undefined) return new ShimmedChild(child, child.pid);
    return await new Promise<never>((_resolve, reject) => child.once('error', reject));
  } finally {
    closeSync(log);
  }
}

const GONE_WITHIN_MS = 500;
const LOOK_EVERY_MS = 5;

/** A kill is an order: this waits until it is carried out, or long enough if somebody else does not reap his zombies. */
async function groupGone(groupId: number): Promise<void> {
  for (let waitedMs = 0; waitedMs < GONE_WITHIN_MS && signal(-groupId, 0); waitedMs += LOOK_EVERY_MS) {
    await delay(LOOK_EVERY_MS);
  }
}

/** What the shim says about the command's end. */
async function readReport(pipe: Readable): Promise<number | null> {
  let text = '';
  try {
    for await (const chunk of pipe) text += String(chunk);
  } catch {
    // A reset instead of an end: the shim was killed.
  }
  return /^\d+\n$/.test(text) ? Number(text) : null;
}

/** False when there is nobody to be told. Signal 0 only asks. */
function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, name);
    return true;
  } catch {
    return false;
  }
}

/** "exit code 3", "signal 9": for messages. */
export function describeExit({ code }: ChildExit): string {
  if (code === null) return 'it was killed together with its shim';
  return code > 128 ? `signal ${code - 128}` : `exit code ${code}`;
}
