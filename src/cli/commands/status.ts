import { setTimeout as sleep } from 'node:timers/promises';
import { Option } from 'commander';
import type { StatusReport } from '../../core/status.ts';
import { expectJson } from '../client.ts';
import { type CliContext, type CommandHost, coloursOutput, interruptible } from '../context.ts';
import { CliError, EXIT, EXIT_CODES_HELP } from '../exit-codes.ts';
import { durationMs } from '../option-values.ts';
import {
  addTargetOptions,
  adminClientOf,
  isClusterMeant,
  openPoolSource,
  TARGET_HELP,
  type TargetFlags,
} from '../target-options.ts';

interface StatusOptions extends TargetFlags {
  readonly output: 'table' | 'json';
  readonly watch?: true;
  readonly every: number;
}

const CLEAR_SCREEN = '\u001b[H\u001b[2J';

const HELP = `
Shows each pool with its phase (Asleep, Waking, Ready, Draining, Stalled, Paused), its replicas by warm-up phase, what is
queued, running and stored for each objective, and the last decision of the autoscaler with its reason. Of a cluster: the
ScalePolicies with their last decisions, orders and conditions that are not well.

Examples:
  pilotlight status --watch
  pilotlight status -n models
  pilotlight status -o json | jq '.pools[] | {pool, phase}'

${TARGET_HELP}
${EXIT_CODES_HELP}`;

export function addStatusCommand({ program, context, finish }: CommandHost): void {
  const command = program
    .command('status')
    .summary('show pools, replicas and queues')
    .description('Show pools, replicas and queues of a running Pilotlight.')
    .addOption(new Option('-o, --output <format>', 'how to print it').choices(['table', 'json']).default('table'))
    .option('-w, --watch', 'show it again and again, until Ctrl-C')
    .addOption(new Option('--every <duration>', 'with --watch: how often').argParser(durationMs).default(1_000, '1s'));
  addTargetOptions(command)
    .addHelpText('after', HELP)
    .action(async (options: StatusOptions) => {
      finish(await (options.watch ? watchStatus : showStatus)(options, context));
    });
}

/** What the status is right now, as text. */
interface Look {
  text(): Promise<string>;
  close(): Promise<void>;
}

async function showStatus(options: StatusOptions, context: CliContext): Promise<number> {
  const look = await openLook(options, context);
  try {
    context.stdout(await interruptible(context.interruption(), look.text()));
  } finally {
    await look.close();
  }
  return EXIT.OK;
}

/** Goes on while Pilotlight restarts. Ctrl-C is how a watch ends, so it is no failure. */
async function watchStatus(options: StatusOptions, context: CliContext): Promise<number> {
  const look = await openLook(options, context);
  const signal = context.interruption();
  const clear = context.isOutputTerminal ? CLEAR_SCREEN : '';
  try {
    context.stdout(`${clear}${await look.text()}`);
    for (;;) {
      await sleep(options.every, undefined, { signal });
      const text = await look.text().catch(unreachable);
      context.stdout(`${clear}${text}`);
    }
  } catch (thrown) {
    if (signal.aborted) return EXIT.OK;
    throw thrown;
  } finally {
    await look.close();
  }
}

function unreachable(thrown: unknown): string {
  if (thrown instanceof CliError && thrown.exitCode === EXIT.UNREACHABLE) return `${thrown.message}\n`;
  throw thrown;
}

async function openLook(options: StatusOptions, context: CliContext): Promise<Look> {
  return isClusterMeant(options, context) ? clusterLook(options, context) : adminLook(options, context);
}

function adminLook(options: StatusOptions, context: CliContext): Look {
  const client = adminClientOf(options, context);
  return {
    async text() {
      const answer = await client.send({ path: '/status', signal: context.interruption() });
      const report = expectJson(answer) as StatusReport;
      if (options.output === 'json') return `${JSON.stringify(report, null, 2)}\n`;
      const { renderStatus } = await import('../render/status-tables.ts');
      return renderStatus(report, coloursOutput(context));
    },
    close: () => Promise.resolve(),
  };
}

async function clusterLook(options: StatusOptions, context: CliContext): Promise<Look> {
  const source = await openPoolSource(options, context);
  return {
    async text() {
      const pools = await source.pools(context.interruption());
      const { where } = source;
      if (options.output === 'json') return `${JSON.stringify({ where, pools }, null, 2)}\n`;
      const { renderClusterStatus } = await import('../render/pool-tables.ts');
      return renderClusterStatus(pools, { where, nowEpochMs: Date.now(), useColors: coloursOutput(context) });
    },
    close: () => source.close(),
  };
}
