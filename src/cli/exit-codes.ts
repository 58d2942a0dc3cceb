/** What the exit code of every command means; shown by --help. */
export const EXIT = {
  OK: 0,
  /** The command did its work and the result is a failure: a job failed, a call was refused. */
  FAILED: 1,
  /** Wrong arguments, settings or objects: nothing was started. */
  USAGE: 2,
  /** Nothing answers where Pilotlight should be. */
  UNREACHABLE: 3,
  /** Ctrl-C or SIGTERM ended it before it was done. */
  INTERRUPTED: 130,
} as const;

export const EXIT_CODES_HELP = `Exit codes:
  0    done
  1    done, with failures (a job failed, a call was refused)
  2    wrong arguments, settings or objects; nothing was started
  3    nothing answers at the address
  130  interrupted`;

/** Ends a command with one sentence that says what is wrong and what to do. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: number;

  constructor(exitCode: number, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

/** Why an interrupted command ends; the reason of its signal. */
export function stoppedBy(signal: NodeJS.Signals): CliError {
  return new CliError(EXIT.INTERRUPTED, `stopped by ${signal}`);
}
