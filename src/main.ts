import type { CliContext } from './cli/context.ts';
import { EXIT, stoppedBy } from './cli/exit-codes.ts';
import { runCli } from './cli/program.ts';

/** The first signal asks the command to stop in good order, the second ends the process. */
const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

const context: CliContext = {
  environment: process.env,
  stdout: (text) => void process.stdout.write(text),
  stderr: (text) => void process.stderr.write(text),
  isTerminal: process.stderr.isTTY,
  isOutputTerminal: process.stdout.isTTY,
  interruption,
  fetch: globalThis.fetch,
};

let interrupted: AbortController | undefined;

function interruption(): AbortSignal {
  if (interrupted) return interrupted.signal;
  const controller = new AbortController();
  interrupted = controller;
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(EXIT.INTERRUPTED);
      controller.abort(stoppedBy(signal));
    });
  }
  return controller.signal;
}

// `pilotlight jobs result … | head` closes the pipe: that is not an error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

const exitCode = await runCli(process.argv.slice(2), context);
process.exit(exitCode);
