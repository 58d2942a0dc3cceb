import { readFile } from 'node:fs/promises';
import { systemClock } from '../clock.ts';
import { runCommand } from './run-command.ts';

const POLL_MS = 20;
const PS_TIMEOUT_MS = 5_000;
const KILLED_WITHIN_MS = 5_000;

/**
 * A text that no other process has had or will have: boot and start time, because process ids are used again.
 * Undefined when no such process runs; one that has ended and only waits for its parent counts as ended.
 */
export async function processIdentity(pid: number, signal: AbortSignal): Promise<string | undefined> {
  if (!isAlive(pid)) return undefined;
  try {
    const [stat, boot] = await Promise.all([
      readFile(`/proc/${pid}/stat`, 'utf8'),
      readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
    ]);
    return identityFromProc(stat, boot);
  } catch {
    return isAlive(pid) ? identityFromPs(pid, signal) : undefined;
  }
}

/** From proc(5): after the command in parentheses come the state (field 3) and, as field 22, the start in ticks since boot. */
export function identityFromProc(stat: string, bootId: string): string | undefined {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state] = fields;
  return state === 'Z' || state === 'X' ? undefined : `${bootId.trim()}/${fields[19] ?? ''}`;
}

/** Systems without /proc, macOS among them. */
async function identityFromPs(pid: number, signal: AbortSignal): Promise<string | undefined> {
  const started = await runCommand('ps', ['-o', 'lstart=', '-p', String(pid)], { timeoutMs: PS_TIMEOUT_MS, signal });
  return started.ok ? started.output.trim() : undefined;
}

export interface ProcessId {
  pid: number;
  /** What processIdentity said while the process was ours. */
  identity: string;
}

/** Whether it is that very process that runs under the id. */
export async function isRunning(target: ProcessId, signal: AbortSignal): Promise<boolean> {
  return (await processIdentity(target.pid, signal)) === target.identity;
}

/**
 * Asks the process to end (SIGTERM), and kills it when it has not after `graceMs`. Returns when it is gone.
 * Never signals another process that got its id. Throws when it survives or may not be signalled.
 */
export async function endProcess(target: ProcessId, graceMs: number, signal: AbortSignal): Promise<void> {
  if (await signalAndWait(target, 'SIGTERM', graceMs, signal)) return;
  if (await signalAndWait(target, 'SIGKILL', KILLED_WITHIN_MS, signal)) return;
  throw new Error(`process ${target.pid} did not end`);
}

/** Sends one signal. Returns whether the process was gone within the time. */
export async function signalAndWait(
  target: ProcessId,
  name: NodeJS.Signals,
  withinMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  if (!(await isRunning(target, signal))) return true;
  sendSignal(target.pid, name);
  const untilMs = systemClock.monotonicMs() + withinMs;
  while (systemClock.monotonicMs() < untilMs) {
    if (!(await isRunning(target, signal))) return true;
    await systemClock.sleep(POLL_MS, signal);
  }
  return false;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** A process that ended a moment ago needs no signal any more. */
function sendSignal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
