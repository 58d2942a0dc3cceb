import { type Command, Option } from 'commander';
import { type CliContext, type CommandHost, coloursOutput, interruptible } from '../context.ts';
import { EXIT_CODES_HELP } from '../exit-codes.ts';
import { findPool } from '../pools/find-pool.ts';
import type { PoolSource } from '../pools/pool-view.ts';
import { addTargetOptions, openPoolSource, TARGET_HELP, type TargetFlags } from '../target-options.ts';

export interface OutputFlags extends TargetFlags {
  readonly output: 'table' | 'json';
}

const POOLS_HELP = `
READY, BOOTING and DESIRED count replicas; QUEUED and OLDEST are requests that wait, stored jobs included. PHASE is Asleep,
Waking, Ready, Draining, Stalled or Paused.

Examples:
  pilotlight pools
  pilotlight pools -n models
  pilotlight pools -A -o json | jq '.pools[] | select(.phase == "Stalled") | .pool'

${TARGET_HELP}
${EXIT_CODES_HELP}`;

const EXPLAIN_HELP = `
Shows the last decision with its reason and what would change it, orders of people, conditions that are not well with
their remedy, and each replica with its warm-up phase and what keeps it. The admin listener also tells what each rule asks
for and the decisions before.

Examples:
  pilotlight explain llama
  pilotlight explain models/llama --cluster
  pilotlight explain llama -n models -o json | jq '.conditions[] | select(.status == "False")'

${TARGET_HELP}
${EXIT_CODES_HELP}`;

export function addPoolsCommand({ program, context }: CommandHost): void {
  const command = program
    .command('pools')
    .summary('one line for each pool')
    .description('Show one line for each pool: replicas, queue, phase.');
  addOutputOption(addTargetOptions(command))
    .addHelpText('after', POOLS_HELP)
    .action(async (flags: OutputFlags) => {
      await withPools(flags, context, async (source, signal) => {
        const pools = await source.pools(signal);
        const { renderPools } = await import('../render/pool-tables.ts');
        print(flags, context, { pools }, (options) => renderPools(pools, { ...options, where: source.where }));
      });
    });
}

/** What ScalePolicies, or a controller, tell of queues. */
export async function listQueues(name: string | undefined, flags: OutputFlags, context: CliContext): Promise<void> {
  await withPools(flags, context, async (source, signal) => {
    const all = await source.pools(signal);
    const pools = name === undefined ? all : [findPool(name, all, source)];
    const { renderQueue } = await import('../render/pool-tables.ts');
    const told = pools.map(({ pool, queued, running, oldestQueuedAtEpochMs, objectives }) => ({
      ...{ pool, queued, running, oldestQueuedAtEpochMs, objectives },
    }));
    print(flags, context, { pools: told }, (options) => renderQueue(pools, { ...options, where: source.where }));
  });
}

export function addExplainCommand({ program, context }: CommandHost): void {
  const command = program
    .command('explain <pool>')
    .summary('why a pool is as it is, and what would change it')
    .description('Explain why a pool has the replicas it has, and what would change it.');
  addOutputOption(addTargetOptions(command))
    .addHelpText('after', EXPLAIN_HELP)
    .action(async (name: string, flags: OutputFlags) => {
      await withPools(flags, context, async (source, signal) => {
        const details = await source.details(findPool(name, await source.pools(signal), source), signal);
        const { renderExplanation } = await import('../render/explanation.ts');
        print(flags, context, details, ({ nowEpochMs, useColors }) =>
          renderExplanation(details, nowEpochMs, useColors),
        );
      });
    });
}

export function addOutputOption(command: Command): Command {
  return command.addOption(
    new Option('-o, --output <format>', 'how to print it').choices(['table', 'json']).default('table'),
  );
}

export async function withPools<T>(
  flags: TargetFlags,
  context: CliContext,
  use: (source: PoolSource, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const source = await openPoolSource(flags, context);
  try {
    const signal = context.interruption();
    return await interruptible(signal, use(source, signal));
  } finally {
    await source.close();
  }
}

function print(
  { output }: OutputFlags,
  context: CliContext,
  json: object,
  text: (options: { readonly nowEpochMs: number; readonly useColors: boolean }) => string,
): void {
  if (output === 'json') context.stdout(`${JSON.stringify(json, null, 2)}\n`);
  else context.stdout(text({ nowEpochMs: Date.now(), useColors: coloursOutput(context) }));
}
