import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestNamespace } from '../../cluster/support/namespace.ts';
import { type Pilotlight, startPilotlight } from '../../cluster/support/pilotlight.ts';

/** Much else is on the machine of a long run. */
const START_WITHIN_MS = 150_000;
const STEPPED_CLOCK = new URL('./stepped-clock.ts', import.meta.url).href;

export interface MemberOptions {
  readonly namespace: TestNamespace;
  /** Of the run: its own folder is made below. */
  readonly folder: string;
  readonly role: 'gateway' | 'controller';
  readonly name: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly env: Readonly<Record<string, string>>;
}

/** When a process was told to go until it was gone, on this machine's clock. */
export interface Absence {
  readonly name: string;
  readonly fromEpochMs: number;
  readonly toEpochMs: number;
  readonly why: 'killed' | 'stopped';
}

/** A place in the installation: one Pilotlight process after the other, with a clock of its own. */
export class Member {
  readonly name: string;
  readonly absences: Absence[] = [];
  /** Whether callers are sent to it. */
  isUp = false;
  readonly #options: MemberOptions;
  readonly #folder: string;
  #process: Pilotlight | null = null;

  constructor(options: MemberOptions) {
    this.#options = options;
    this.name = options.name;
    this.#folder = join(options.folder, options.name);
  }

  get process(): Pilotlight {
    if (this.#process === null) throw new Error(`${this.name} was never started`);
    return this.#process;
  }

  get apiUrl(): string {
    return this.process.apiUrl;
  }

  async start(): Promise<void> {
    const { namespace, role, settings, env } = this.#options;
    await mkdir(this.#folder, { recursive: true });
    await this.stepClock(0);
    const options = {
      ...{ namespace, role, settings, identity: this.name, folder: this.#folder },
      env: { ...env, CHAOS_CLOCK_FILE: this.#clockFile, NODE_OPTIONS: `--import=${STEPPED_CLOCK}` },
    };
    this.#process = await startPilotlight({ startWithinMs: START_WITHIN_MS, ...options });
    this.isUp = true;
  }

  async kill(): Promise<void> {
    this.isUp = false;
    await this.#gone('killed', () => this.process.kill());
  }

  /** SIGTERM; throws when it ends with anything but 0. */
  async stop(): Promise<void> {
    this.isUp = false;
    const code = await this.#gone('stopped', () => this.process.stop());
    if (code !== 0) throw new Error(`${this.name} was told to stop and ended with ${code}`);
  }

  freeze(): void {
    process.kill(this.process.pid, 'SIGSTOP');
  }

  /** Does nothing to one that is not frozen or has ended. */
  resume(): void {
    try {
      process.kill(this.process.pid, 'SIGCONT');
    } catch {
      // It has ended.
    }
  }

  /** Negative: back. */
  stepClock(aheadMs: number): Promise<void> {
    return writeFile(this.#clockFile, `${aheadMs}`);
  }

  async #gone(why: Absence['why'], end: () => Promise<number | null>): Promise<number | null> {
    const fromEpochMs = Date.now();
    const code = await end();
    this.absences.push({ name: this.name, fromEpochMs, toEpochMs: Date.now(), why });
    return code;
  }

  get #clockFile(): string {
    return join(this.#folder, 'clock-ahead-ms');
  }
}
