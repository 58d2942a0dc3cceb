import { systemClock } from '../platform/clock.ts';
import { ModelSim, type PhaseLine } from './model-sim.ts';
import type { ModelSimOptions } from './options.ts';

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;

/**
 * Runs one simulated model server as this process; resolves with the exit code that the process should end with.
 * The first SIGTERM or SIGINT, and `signal`, begin the shutdown; a second process signal ends it at once.
 * Prints a JSON line on stdout for each phase. The caller exits: a crash is meant to be sudden.
 */
export async function runModelSim(options: ModelSimOptions, signal?: AbortSignal): Promise<number> {
  const sim = new ModelSim(options, {
    clock: systemClock,
    random: { next: () => Math.random() },
    announce: (line) => printPhase(options, line),
  });
  let processSignals = 0;
  const onProcessSignal = () => {
    processSignals += 1;
    if (processSignals === 1) sim.shutdown();
    else sim.halt();
  };
  const onAbort = () => sim.shutdown();
  // Whoever read the lines may go first; the server goes on without them.
  const onBrokenPipe = () => undefined;
  for (const name of SIGNALS) process.on(name, onProcessSignal);
  process.stdout.on('error', onBrokenPipe);
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    if (signal?.aborted === true) sim.shutdown();
    else await sim.boot();
    return await sim.done;
  } finally {
    for (const name of SIGNALS) process.off(name, onProcessSignal);
    process.stdout.off('error', onBrokenPipe);
    signal?.removeEventListener('abort', onAbort);
  }
}

function printPhase(options: ModelSimOptions, line: PhaseLine): void {
  const shared = { event: 'model_sim.phase_entered', simulator: true, pid: process.pid, model: options.models[0] };
  process.stdout.write(`${JSON.stringify({ ...shared, ...line })}\n`);
}
