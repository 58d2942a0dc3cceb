import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';

/** Becomes the program; a watcher ends it when our end of its input closes, so that it never outlives the test. */
const END_WITH_PARENT = 'exec 3<&0; (read -r _ <&3 || kill -KILL $$) & exec "$@" 3<&- </dev/null';

export interface ServerProcessOptions {
  readonly command: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** All its starts write here. */
  readonly logFile: string;
}

/** A program that is killed, stopped, and started again. */
export class ServerProcess {
  readonly #options: ServerProcessOptions;
  #child: ChildProcess | null = null;
  #exited: Promise<unknown> = Promise.resolve();

  constructor(options: ServerProcessOptions) {
    this.#options = options;
  }

  get isRunning(): boolean {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Does nothing while it runs. */
  start(): void {
    if (this.isRunning) return;
    const { command, env, cwd, logFile } = this.#options;
    const log = openSync(logFile, 'a');
    const child = spawn('/bin/sh', ['-c', END_WITH_PARENT, 'sh', ...command], {
      ...{ env, cwd, detached: true },
      stdio: ['pipe', log, log],
    });
    closeSync(log);
    child.stdin?.on('error', () => undefined);
    this.#exited = once(child, 'exit').then(() => child.stdin?.end('\n'));
    this.#child = child;
  }

  /** Returns when it is gone, also when it was frozen. */
  async kill(): Promise<void> {
    if (this.isRunning) this.#child?.kill('SIGKILL');
    await this.#exited;
  }

  freeze(): void {
    if (this.isRunning) this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    if (this.isRunning) this.#child?.kill('SIGCONT');
  }
}
