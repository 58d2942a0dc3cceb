import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPLICA_UID_VARIABLE } from './child-env.ts';
import { bootId, hasEnvironment, listProcesses, type ProcessEntry, readProcess } from './process-table.ts';

/** Who started which shim, so that a later Pilotlight can tell leftovers from other people's processes. */
interface RegistryEntry {
  readonly uid: string;
  readonly pid: number;
  readonly startTicks: number;
  readonly bootId: string;
  readonly ownerPid: number;
  readonly ownerStartTicks: number;
}

/**
 * One small file for each running child. The shim is what ends children when Pilotlight dies; this is for the case that
 * the shim was killed as well. Without /proc (macOS) nothing is recorded and the sweep finds nothing.
 */
export class PidRegistry {
  readonly #folder: string;
  readonly #bootId = bootId();
  readonly #owner = readProcess(process.pid);

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  /** Synchronous, because the child is already running: nothing may come between. */
  add(uid: string, pid: number): void {
    const child = readProcess(pid);
    if (child === null || this.#owner === null) return;
    const entry: RegistryEntry = {
      uid,
      pid,
      startTicks: child.startTicks,
      bootId: this.#bootId,
      ownerPid: process.pid,
      ownerStartTicks: this.#owner.startTicks,
    };
    writeFileSync(this.#path(uid), JSON.stringify(entry));
  }

  remove(uid: string): void {
    rmSync(this.#path(uid), { force: true });
  }

  /** Kills what children of dead owners left running and forgets them. Returns how many processes it killed. */
  sweep(): number {
    const abandoned = this.#entries().filter((entry) => !this.#ownerLives(entry));
    if (abandoned.length === 0) return 0;
    const processes = listProcesses();
    const leftovers = new Set(abandoned.flatMap((entry) => this.#leftoversOf(entry, processes)));
    for (const pid of leftovers) killQuietly(pid);
    for (const { uid } of abandoned) this.remove(uid);
    return leftovers.size;
  }

  #entries(): readonly RegistryEntry[] {
    const names = readdirSync(this.#folder).filter((name) => name.endsWith('.json'));
    return names.map((name) => readEntry(join(this.#folder, name))).filter((entry) => entry !== null);
  }

  #ownerLives(entry: RegistryEntry): boolean {
    if (entry.bootId !== this.#bootId) return false;
    return readProcess(entry.ownerPid)?.startTicks === entry.ownerStartTicks;
  }

  /**
   * Members of the child's session, and whoever still carries its uid in the environment (it may have left the
   * session). A pid is not used again while a session of that number has members, so an equal number with an equal
   * start, or with no leader left, is the same session.
   */
  #leftoversOf(entry: RegistryEntry, processes: readonly ProcessEntry[]): readonly number[] {
    if (entry.bootId !== this.#bootId) return [];
    const leader = processes.find(({ pid }) => pid === entry.pid);
    const sameSession = leader === undefined || leader.startTicks === entry.startTicks;
    const ours = processes.filter(
      (candidate) =>
        candidate.startTicks >= entry.startTicks &&
        ((sameSession && candidate.sessionId === entry.pid) ||
          hasEnvironment(candidate.pid, REPLICA_UID_VARIABLE, entry.uid)),
    );
    return ours.map(({ pid }) => pid);
  }

  #path(uid: string): string {
    return join(this.#folder, `${uid}.json`);
  }
}

function readEntry(path: string): RegistryEntry | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as RegistryEntry;
  } catch {
    return null;
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Ended by itself since the list was read.
  }
}
