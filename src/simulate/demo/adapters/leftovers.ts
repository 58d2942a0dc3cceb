import { readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../../platform/clock.ts';
import { isRunning, type ProcessId } from '../../../platform/local-redis/process-identity.ts';
import { filesOf, readRecord } from '../../../platform/local-redis/server-files.ts';
import { RUN_VARIABLE } from '../names.ts';

const POLL_MS = 100;

export interface Leftover {
  readonly pid: number;
  /** For people. */
  readonly what: string;
}

/**
 * Processes of the run that still live: those marked with its id in their environment (model servers and their shims;
 * only where there is /proc), and the bundled Redis that `redisFolder` knows.
 */
async function findLeftovers(runId: string, redisFolder: string, signal: AbortSignal): Promise<readonly Leftover[]> {
  const [marked, redis] = await Promise.all([markedProcesses(runId), redisProcess(redisFolder, signal)]);
  return [...marked, ...redis];
}

/** What is left of the run after everything was told to end and `withinMs` to do so have passed; empty as a rule. */
export async function awaitNoLeftovers(
  runId: string,
  redisFolder: string,
  withinMs: number,
): Promise<readonly Leftover[]> {
  const deadline = AbortSignal.timeout(withinMs);
  for (;;) {
    const left = await findLeftovers(runId, redisFolder, AbortSignal.timeout(withinMs));
    if (left.length === 0 || deadline.aborted) return left;
    await systemClock.sleep(POLL_MS);
  }
}

export function killLeftovers(left: readonly Leftover[]): void {
  for (const { pid } of left) killQuietly(pid, 'SIGKILL');
}

/** For the end of the demo's own process, which cannot wait: its children and Redis end with it. */
export function endAtOnce(servePid: number | null, redisFolder: string): void {
  if (servePid !== null) killQuietly(servePid, 'SIGKILL');
  try {
    const record = JSON.parse(readFileSync(filesOf(redisFolder).record, 'utf8')) as { process?: { pid?: unknown } };
    if (typeof record.process?.pid === 'number') killQuietly(record.process.pid, 'SIGTERM');
  } catch {
    // No Redis was started for the run.
  }
}

async function redisProcess(redisFolder: string, signal: AbortSignal): Promise<Leftover[]> {
  const process: ProcessId | undefined = (await readRecord(redisFolder))?.process;
  if (process === undefined || !(await isRunning(process, signal))) return [];
  return [{ pid: process.pid, what: 'the Redis of the run' }];
}

async function markedProcesses(runId: string): Promise<Leftover[]> {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => ((await isMarked(pid, runId)) ? [{ pid: Number(pid), what: await commandOf(pid) }] : [])),
  );
  return found.flat();
}

async function isMarked(pid: string, runId: string): Promise<boolean> {
  if (Number(pid) === process.pid) return false;
  const environment = await readFile(join('/proc', pid, 'environ'), 'utf8').catch(() => '');
  return environment.split('\0').includes(`${RUN_VARIABLE}=${runId}`);
}

async function commandOf(pid: string): Promise<string> {
  const words = await readFile(join('/proc', pid, 'cmdline'), 'utf8').catch(() => '');
  return words.replaceAll('\0', ' ').trim().slice(0, 120);
}

function killQuietly(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended by itself.
  }
}
