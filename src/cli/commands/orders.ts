import { type Command, Option } from 'commander';
import { formatDuration } from '../../core/units.ts';
import type { CliContext, CommandHost } from '../context.ts';
import { EXIT, EXIT_CODES_HELP } from '../exit-codes.ts';
import { durationMs, orderTimeMs, wholeNumber } from '../option-values.ts';
import { findPool } from '../pools/find-pool.ts';
import type { PoolCommand, PoolSource, PoolView } from '../pools/pool-view.ts';
import { isEmpty, untilPool } from '../pools/wait.ts';
import { addTargetOptions, TARGET_HELP } from '../target-options.ts';
import { addOutputOption, type OutputFlags, withPools } from './pools.ts';

interface OrderFlags extends OutputFlags {
  readonly for: number;
  readonly replicas: number;
  readonly wait?: true;
  readonly timeout: number;
}

/** As boot.timeout and drain.timeout are by default, with some room. */
const WAIT_TIMEOUT = [45 * 60_000, '45m'] as const;

interface OrderText {
  readonly summary: string;
  readonly description: string;
  readonly about: string;
  readonly examples: readonly string[];
}

const TEXTS: Readonly<Record<PoolCommand['verb'], OrderText>> = {
  wake: {
    summary: 'keep replicas up for a while',
    description: 'Keep at least --replicas up for --for, whether there is work or not. Ends a drain order.',
    about: 'The pool wakes at once and may grow beyond. --for 0s takes the order back.',
    examples: [
      'pilotlight wake llama --wait                  before a demo',
      'pilotlight wake llama --for 2h --replicas 3',
      'pilotlight wake models/llama --cluster',
      'pilotlight wake llama --for 0s                it may go back to sleep',
    ],
  },
  drain: {
    summary: 'empty a pool and keep it at zero for a while',
    description: 'Let running requests finish, end every replica, and stay at zero for --for. Ends a wake order.',
    about: 'What is queued waits, whatever its deadline. --for 0s takes the order back.',
    examples: [
      'pilotlight drain llama --wait                 before maintenance of its nodes',
      'pilotlight drain llama --for 6h',
      'pilotlight drain llama --for 0s               it may wake again',
    ],
  },
  pause: {
    summary: 'leave the replicas of a pool as they are',
    description: 'Leave the replicas of a pool as they are, until it is resumed. Requests are still served.',
    about: 'It does not pass by itself.',
    examples: ['pilotlight pause llama', 'pilotlight pause llama -n models'],
  },
  resume: {
    summary: 'end a pause',
    description: 'End a pause. A spec.paused of the ScalePolicy is not an order and stays.',
    about: 'Wake and drain orders are taken back with --for 0s.',
    examples: ['pilotlight resume llama'],
  },
};

export function addOrderCommands(host: CommandHost): void {
  for (const verb of ['wake', 'drain', 'pause', 'resume'] as const) addOrderCommand(verb, host);
}

function addOrderCommand(verb: PoolCommand['verb'], { program, context, finish }: CommandHost): void {
  const { summary, description, about, examples } = TEXTS[verb];
  const command = program.command(`${verb} <pool>`).summary(summary).description(description);
  if (verb === 'wake')
    addTimes(command, [30 * 60_000, '30m']).option('--replicas <number>', 'at least so many', wholeNumber(1, 1_000), 1);
  if (verb === 'drain') addTimes(command, [60 * 60_000, '1h']);
  if (verb === 'wake') addWait(command, 'show its phases until so many are ready');
  if (verb === 'drain') addWait(command, 'show its phases until it is empty');
  const help = `\n${about}\n\nExamples:\n${examples.map((line) => `  ${line}`).join('\n')}\n\n${TARGET_HELP}\n${EXIT_CODES_HELP}`;
  addOutputOption(addTargetOptions(command))
    .addHelpText('after', help)
    .action(async (name: string, flags: OrderFlags) => {
      finish(await withPools(flags, context, (source, signal) => give(verb, name, { flags, context, source, signal })));
    });
}

function addTimes(command: Command, [ms, text]: readonly [number, string]): Command {
  return command.addOption(
    new Option('--for <duration>', 'how long it holds, at most 7d; 0s takes it back')
      .argParser(orderTimeMs)
      .default(ms, text),
  );
}

function addWait(command: Command, about: string): void {
  command
    .option('-w, --wait', about)
    .addOption(
      new Option('--timeout <duration>', 'with --wait: give up after').argParser(durationMs).default(...WAIT_TIMEOUT),
    );
}

interface Given {
  readonly flags: OrderFlags;
  readonly context: CliContext;
  readonly source: PoolSource;
  readonly signal: AbortSignal;
}

async function give(
  verb: PoolCommand['verb'],
  name: string,
  { flags, context, source, signal }: Given,
): Promise<number> {
  const pool = findPool(name, await source.pools(signal), source);
  const command = commandOf(verb, flags);
  const orders = await source.order(pool, command, signal);
  context.stderr(`${pool.pool}: ${sentence(command)}\n`);
  const isTakenBack = 'forMs' in command && command.forMs === 0;
  const last = flags.wait && !isTakenBack ? await awaitOrder(pool, command, { flags, context, source, signal }) : pool;
  if (flags.output === 'json') {
    const told = flags.wait ? { phase: last.phase, ready: last.ready } : {};
    context.stdout(`${JSON.stringify({ pool: pool.pool, verb, orders, ...told }, null, 2)}\n`);
  } else {
    for (const order of orders) context.stdout(`${order}\n`);
  }
  return EXIT.OK;
}

function commandOf(verb: PoolCommand['verb'], flags: OrderFlags): PoolCommand {
  if (verb === 'wake') return { verb, forMs: flags.for, replicas: flags.replicas };
  return verb === 'drain' ? { verb, forMs: flags.for } : { verb };
}

function sentence(command: PoolCommand): string {
  switch (command.verb) {
    case 'wake':
      if (command.forMs === 0) return 'the wake order is taken back';
      return `told to keep ${command.replicas} up for ${formatDuration(command.forMs)}`;
    case 'drain':
      return command.forMs === 0
        ? 'the drain order is taken back'
        : `told to drain and stay at zero for ${formatDuration(command.forMs)}`;
    case 'pause':
      return 'told to leave its replicas as they are';
    case 'resume':
      return 'told to go on';
  }
}

function awaitOrder(
  pool: PoolView,
  command: PoolCommand,
  { flags, context, source, signal }: Given,
): Promise<PoolView> {
  // An order that has passed is not followed any more.
  const timeoutMs = Math.min(flags.timeout, flags.for);
  const wait = { timeoutMs, signal, tell: (line: string) => context.stderr(`${line}\n`) };
  if (command.verb === 'wake') {
    const { replicas } = command;
    return untilPool(source, pool, { ...wait, what: 'ready', holds: ({ ready }) => ready >= replicas });
  }
  return untilPool(source, pool, { ...wait, what: 'empty', holds: isEmpty });
}
