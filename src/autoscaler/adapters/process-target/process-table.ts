import { readdirSync, readFileSync } from 'node:fs';

/** One process as Linux's /proc tells it. */
export interface ProcessEntry {
  readonly pid: number;
  /** Z = a zombie: ended, not yet reaped by its parent. */
  readonly state: string;
  readonly groupId: number;
  readonly sessionId: number;
  /** Clock ticks since boot: with the pid it names one process for good. */
  readonly startTicks: number;
}

/** The process of that pid; null when there is none (or no /proc, as on macOS). */
export function readProcess(pid: number): ProcessEntry | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name in parentheses may hold spaces and parentheses itself: the fields start after the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [state = '', , groupId, sessionId] = fields;
    return { pid, state, groupId: Number(groupId), sessionId: Number(sessionId), startTicks: Number(fields[19]) };
  } catch {
    return null;
  }
}

/** Every process of this machine; empty without /proc. */
export function listProcesses(): readonly ProcessEntry[] {
  try {
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
    return pids.map((pid) => readProcess(Number(pid))).filter((entry) => entry !== null);
  } catch {
    return [];
  }
}

/** True when the process was started with this variable. False when it cannot be read or was overwritten since. */
export function hasEnvironment(pid: number, name: string, value: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(`${name}=${value}`);
  } catch {
    return false;
  }
}

/** Differs after every start of the machine; '' without /proc. */
export function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return '';
  }
}
