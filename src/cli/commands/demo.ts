import type { CommandHost } from '../context.ts';
import { EXIT_CODES_HELP } from '../exit-codes.ts';
import { durationMs, wholeNumber } from '../option-values.ts';
import { addSettingOptions, flagSettings, type SettingOptions } from '../setting-options.ts';
import { version } from '../version.ts';

interface DemoFlags extends SettingOptions {
  readonly jobs: number;
  readonly chats: number;
  readonly seed: number;
  readonly trace?: string;
  readonly out?: string;
  readonly keep?: true;
  readonly killServerAfter?: number;
  readonly progress: boolean;
}

const HELP = `
Brings up Redis, a pool of simulated model servers and Pilotlight itself on this machine, submits one file of
support tickets as a batch of the objective "nightly" while a few chats stream as "interactive", and shows how the pool
wakes, works and goes back to zero. Exits 0 only if every accepted request had exactly one outcome; leaves no process behind.

Examples:
  pilotlight demo
  pilotlight demo --jobs 200 --keep
  pilotlight demo --trace AzureLLMInferenceTrace_conv.csv
  pilotlight demo --kill-server-after 10s        nothing that was accepted is lost

Afterwards:
  pilotlight serve -f examples/local.yaml        the same pool, for as long as you like

${EXIT_CODES_HELP}`;

export function addDemoCommand({ program, context, finish }: CommandHost): void {
  const command = program
    .command('demo')
    .summary('show the whole main job on this machine')
    .description('Show the main job, from requests on a sleeping pool to results and zero replicas again.')
    .option('--jobs <number>', 'tickets to summarise, each a row of the batch', wholeNumber(0, 1_000_000), 2_000)
    .option('--chats <number>', 'chats that stream meanwhile', wholeNumber(0, 10_000), 20)
    .option('--seed <number>', 'the same seed makes the same requests', wholeNumber(0, 4_294_967_295), 1)
    .option('--trace <file>', 'CSV with arrivals and token counts, as the Azure LLM traces have them')
    .option('--out <file>', 'where the output of the batch goes (default: into the folder of the run)')
    .option('--keep', 'stay up after the summary, until Ctrl-C')
    .option('--kill-server-after <duration>', 'kill -9 the serving process so long after the first request', durationMs)
    .option('--no-progress', 'plain lines instead of progress bars');
  addSettingOptions(command)
    .addHelpText('after', HELP)
    .action(async (options: DemoFlags) => {
      const { runDemo } = await import('../../simulate/demo.ts');
      const { jobs, chats, seed, trace = null, out = null, keep = false, killServerAfter = null } = options;
      finish(
        await runDemo({
          jobs,
          chats,
          seed,
          trace,
          out,
          keep,
          killServerAfterMs: killServerAfter,
          progress: options.progress && context.isTerminal,
          environment: context.environment,
          flags: await flagSettings(options),
          files: options.file ?? [],
          signal: context.interruption(),
          version: version(),
        }),
      );
    });
}
