import type { Command } from 'commander';
import type { Environment } from '../config/environment.ts';

/** The world as a command sees it; main.ts gives the real one, tests their own. */
export interface CliContext {
  readonly environment: Environment;
  /** For what the command is asked for: data, tables. */
  readonly stdout: (text: string) => void;
  /** For everything else: progress, warnings, errors. */
  readonly stderr: (text: string) => void;
  /** Someone looks at stderr: progress bars and colours make sense. */
  readonly isTerminal: boolean;
  /** The same of stdout. */
  readonly isOutputTerminal: boolean;
  /** Aborts at the first Ctrl-C or SIGTERM, with `stoppedBy` as reason. Asking for it takes over these signals. */
  readonly interruption: () => AbortSignal;
  readonly fetch: typeof globalThis.fetch;
}

/** What a command registers itself with. */
export interface CommandHost {
  readonly program: Command;
  readonly context: CliContext;
  /** Says how the process should end; without it, it ends with 0. */
  readonly finish: (exitCode: number) => void;
}

/** Whether what goes to stdout is coloured. */
export function coloursOutput({ isOutputTerminal, environment }: CliContext): boolean {
  return isOutputTerminal && !environment['NO_COLOR'];
}

/** What `work` resolves with; after Ctrl-C the reason of the signal, whatever the interrupted part of it made of that. */
export async function interruptible<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (thrown) {
    signal.throwIfAborted();
    throw thrown;
  }
}
