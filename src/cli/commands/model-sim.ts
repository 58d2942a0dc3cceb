import { MODEL_SIM_FLAGS, parseModelSimOptions } from '../../model-sim/options.ts';
import type { CommandHost } from '../context.ts';
import { CliError, EXIT } from '../exit-codes.ts';

const HELP = `
Durations have a unit ("1500ms", "30s"), and so have sizes ("32Mi"). Faults can be changed while it runs:
  curl -X POST http://127.0.0.1:8000/sim/faults -d '{"errorRatio": 0.1}'

Examples:
  pilotlight model-sim --port 8000 --model llama-8b --boot-load 30s
  pilotlight model-sim --port 8000 --max-num-seqs 16 --speed 10 --shutdown-timeout 20s
  pilotlight model-sim --port 8000 --lora-modules "fr=/adapters/fr" --max-loras 2`;

/** One simulated vLLM server. It listens to signals itself: a crash or a drain is part of what it simulates. */
export function addModelSimCommand({ program, finish }: CommandHost): void {
  const command = program
    .command('model-sim')
    .summary('run a simulated model server')
    .description('Run one process that behaves like a vLLM server. It says everywhere that it is a simulator.')
    .addHelpText('after', HELP);
  for (const { flag, help, fallback } of Object.values(MODEL_SIM_FLAGS)) {
    command.option(flag, fallback === '' ? help : `${help} (default ${fallback})`);
  }
  command.action(async (texts: Record<string, unknown>) => {
    const options = parseModelSimOptions(texts);
    if (!options.ok) throw new CliError(EXIT.USAGE, `model-sim: ${options.problems.join('\npilotlight: model-sim: ')}`);
    const { runModelSim } = await import('../../model-sim/main.ts');
    finish(await runModelSim(options.value));
  });
}
