import type { Environment } from '../../config/environment.ts';
import type { FlagSetting } from '../../config/flags.ts';
import type { CommandHost } from '../context.ts';
import { EXIT_CODES_HELP } from '../exit-codes.ts';
import { wholeNumber } from '../option-values.ts';
import { addSettingOptions, flagSettings, type SettingOptions } from '../setting-options.ts';
import { version } from '../version.ts';

/** What src/simulate/demo.ts is started with. It resolves with the exit code once every process it started is gone. */
interface DemoOptions {
  readonly jobs: number;
  readonly chats: number;
  readonly seed: number;
  /** A trace to take arrivals and token counts from; null = the generator that ships with Pilotlight. */
  readonly trace: string | null;
  /** Stay up after the summary. */
  readonly keep: boolean;
  readonly out: string | null;
  /** On top of the demo's own settings. */
  readonly environment: Environment;
  readonly flags: readonly FlagSetting[];
  /** Files with further settings and objects; empty = the demo's own. */
  readonly files: readonly string[];
  readonly signal: AbortSignal;
  readonly version: string;
}

interface WrittenOptions extends SettingOptions {
  readonly jobs: number;
  readonly chats: number;
  readonly seed: number;
  readonly trace?: string;
  readonly keep?: true;
  readonly out?: string;
}

interface DemoRole {
  readonly runDemo: (options: DemoOptions) => Promise<number>;
}

const DEMO_ROLE: string = '../../simulate/demo.ts';

const HELP = `
Brings up Redis, a pool of simulated model servers and Pilotlight itself on this machine, submits support-ticket
summaries as jobs of the objective "nightly" while a few chats stream as "interactive", and shows how the pool wakes,
works and goes back to zero. Exits 0 only if every accepted request had exactly one outcome; leaves no process behind.

Examples:
  pilotlight demo
  pilotlight demo --jobs 200 --keep
  pilotlight demo --trace AzureLLMInferenceTrace_conv.csv

Afterwards:
  pilotlight serve -f examples/local.yaml        the same pool, for as long as you like

${EXIT_CODES_HELP}`;

export function addDemoCommand({ program, context, finish }: CommandHost): void {
  const command = program
    .command('demo')
    .summary('show the whole main job on this machine')
    .description('Show the main job, from requests on a sleeping pool to results and zero replicas again.')
    .option('--jobs <number>', 'jobs to submit', wholeNumber(0, 1_000_000), 2_000)
    .option('--chats <number>', 'chats that stream meanwhile', wholeNumber(0, 10_000), 20)
    .option('--seed <number>', 'the same seed makes the same requests', wholeNumber(0, 4_294_967_295), 1)
    .option('--trace <file>', 'CSV with arrivals and token counts, as the Azure LLM traces have them')
    .option('--out <file>', 'where the results go (default: into the data folder)')
    .option('--keep', 'stay up after the summary, until Ctrl-C');
  addSettingOptions(command)
    .addHelpText('after', HELP)
    .action(async (options: WrittenOptions) => {
      const { runDemo } = (await import(DEMO_ROLE)) as DemoRole;
      const { jobs, chats, seed, trace = null, keep = false, out = null, file: files = [] } = options;
      const { environment } = context;
      const flags = await flagSettings(options);
      const settings = { environment, flags, files, signal: context.interruption(), version: version() };
      finish(await runDemo({ jobs, chats, seed, trace, keep, out, ...settings }));
    });
}
