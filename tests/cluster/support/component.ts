import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ShimmedChild, startChild } from '../../../src/autoscaler/adapters/process-target/shimmed-child.ts';

const GRACE_MS = 2_000;
const LOG_TAIL_LINES = 15;

/** One program of the control plane: it ends with this process, however that ends, and can be started again as it was. */
export class Component {
  readonly name: string;
  readonly #program: string;
  readonly #args: readonly string[];
  readonly #logPath: string;
  readonly #folder: string;
  #child: ShimmedChild | null = null;

  constructor(name: string, program: string, args: readonly string[], folder: string) {
    this.name = name;
    this.#program = program;
    this.#args = args;
    this.#folder = folder;
    this.#logPath = join(folder, `${name}.log`);
  }

  get running(): boolean {
    return this.#child?.running ?? false;
  }

  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  async start(): Promise<void> {
    if (this.running) return;
    this.#child = await startChild({
      program: this.#program,
      args: this.#args,
      env: { PATH: process.env['PATH'] ?? '', HOME: this.#folder },
      workingDir: this.#folder,
      logPath: this.#logPath,
      graceMs: GRACE_MS,
    });
  }

  /** SIGTERM, SIGKILL after the grace; returns when it has ended. */
  async stop(graceMs = GRACE_MS): Promise<void> {
    const child = this.#child;
    if (child === null || !child.running) return;
    child.terminate();
    const timer = setTimeout(() => child.kill(), graceMs);
    await child.exited;
    clearTimeout(timer);
  }

  /** SIGKILL; returns when it has ended. */
  async kill(): Promise<void> {
    this.#child?.kill();
    await this.#child?.exited;
  }

  /** The end of its output, for messages. */
  async logTail(): Promise<string> {
    const text = await readFile(this.#logPath, 'utf8').catch(() => '');
    return text.trim().split('\n').slice(-LOG_TAIL_LINES).join('\n');
  }
}
