import { setTimeout as sleep } from 'node:timers/promises';
import { Option } from 'commander';
import type { StatusReport } from '../../core/status.ts';
import { type Client, expectJson } from '../client.ts';
import { type AdminOptions, addAdminOptions, adminClient } from '../client-options.ts';
import type { CliContext, CommandHost } from '../context.ts';
import { CliError, EXIT, EXIT_CODES_HELP } from '../exit-codes.ts';
import { durationMs } from '../option-values.ts';

interface StatusOptions extends AdminOptions {
  readonly output: 'table' | 'json';
  readonly watch?: true;
  readonly every: number;
}

const CLEAR_SCREEN = '\u001b[H\u001b[2J';

const HELP = `
Shows each pool with its phase (Asleep, Waking, Ready, Draining, Stalled, Paused), its replicas by warm-up phase, what is
queued, running and stored for each objective, and the last decision of the autoscaler with its reason.

Examples:
  pilotlight status --watch
  pilotlight status -o json | jq '.pools[] | {pool, phase}'

${EXIT_CODES_HELP}`;

export function addStatusCommand({ program, context, finish }: CommandHost): void {
  const command = program
    .command('status')
    .summary('show pools, replicas and queues')
    .description('Show pools, replicas and queues of a running Pilotlight.')
    .addOption(new Option('-o, --output <format>', 'how to print it').choices(['table', 'json']).default('table'))
    .option('-w, --watch', 'show it again and again, until Ctrl-C')
    .addOption(new Option('--every <duration>', 'with --watch: how often').argParser(durationMs).default(1_000, '1s'));
  addAdminOptions(command)
    .addHelpText('after', HELP)
    .action(async (options: StatusOptions) => {
      finish(await (options.watch ? watchStatus : showStatus)(options, context));
    });
}

async function showStatus(options: StatusOptions, context: CliContext): Promise<number> {
  context.stdout(await statusText(adminClient(options, context), options, context));
  return EXIT.OK;
}

/** Goes on while Pilotlight restarts. Ctrl-C is how a watch ends, so it is no failure. */
async function watchStatus(options: StatusOptions, context: CliContext): Promise<number> {
  const client = adminClient(options, context);
  const signal = context.interruption();
  const clear = context.isTerminal ? CLEAR_SCREEN : '';
  try {
    context.stdout(`${clear}${await statusText(client, options, context)}`);
    for (;;) {
      await sleep(options.every, undefined, { signal });
      const text = await statusText(client, options, context).catch(unreachable);
      context.stdout(`${clear}${text}`);
    }
  } catch (thrown) {
    if (signal.aborted) return EXIT.OK;
    throw thrown;
  }
}

function unreachable(thrown: unknown): string {
  if (thrown instanceof CliError && thrown.exitCode === EXIT.UNREACHABLE) return `${thrown.message}\n`;
  throw thrown;
}

async function statusText(client: Client, { output }: StatusOptions, context: CliContext): Promise<string> {
  const answer = await client.send({ path: '/status', signal: context.interruption() });
  const report = expectJson(answer) as StatusReport;
  if (output === 'json') return `${JSON.stringify(report, null, 2)}\n`;
  const { renderStatus } = await import('../render/status-tables.ts');
  return renderStatus(report, context.isTerminal && !context.environment['NO_COLOR']);
}
