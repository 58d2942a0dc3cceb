import { type Command, Option } from 'commander';
import type { CliContext, CommandHost } from '../context.ts';
import { EXIT, EXIT_CODES_HELP } from '../exit-codes.ts';
import { wholeNumber } from '../option-values.ts';
import { print, type QueueFlags, withQueues } from '../queue/with-queues.ts';
import { addAdminOptions, addTargetOptions, GATEWAY_HELP, isClusterMeant, TARGET_HELP } from '../target-options.ts';
import { addOutputOption, listQueues, type OutputFlags } from './pools.ts';
import { addDeadCommand } from './queue-dead.ts';

const HELP = `
Examples:
  pilotlight queue                            what waits, of all pools
  pilotlight queue tickets llama              the live order of a pool: position, and why each waits
  pilotlight queue explain job_01HZX          where one request is, and what it waits for
  pilotlight queue pause llama nightly        its work is kept and gets no slot
  pilotlight queue dead list                  jobs that failed for good
  pilotlight queue dead retry --objective nightly

${GATEWAY_HELP}
${EXIT_CODES_HELP}`;

const LIST_HELP = `
HELD are callers that wait for their answer, IN ORDER stored work that is next, STORED all accepted work without an
outcome, BACKLOG entries that no gateway has claimed, DEAD jobs that failed for good. A gateway tells all of it; a cluster's
ScalePolicies and the controller tell totals of a pool only.

Examples:
  pilotlight queue
  pilotlight queue list llama --admin-url http://127.0.0.1:9090
  pilotlight queue -n models -o json

${TARGET_HELP}
${EXIT_CODES_HELP}`;

const TICKETS_HELP = `
The live order holds what could run now: callers that wait, and of stored work what a gateway has taken in. What waits is
shown first, in its turn. POSITION is an estimate of how many get a slot before it, 0 = next. WHY is one of paused, no_capacity, no_endpoint_for_class,
tenant_concurrency, reserved, owner_silent, order; of a running request it is the endpoint.

Examples:
  pilotlight queue tickets llama
  pilotlight queue tickets --tenant team-a --limit 20
  pilotlight queue tickets llama --objective nightly -o json | jq '.tickets[] | select(.reason == "paused") | .id'

${GATEWAY_HELP}
${EXIT_CODES_HELP}`;

const EXPLAIN_HELP = `
Looks in the live order, in the backlog and among what has ended. It shows nothing of the request itself.

Examples:
  pilotlight queue explain job_01HZX
  pilotlight queue explain req_01HZX --pool llama -o json

${GATEWAY_HELP}
${EXIT_CODES_HELP}`;

const PAUSE_HELP = `
A paused objective keeps its queue: callers wait (and are told so), jobs and batches are accepted, nothing of it gets a slot,
wakes a pool or keeps it up. What runs ends. The pause is kept until it is taken back; ObjectivePolicy spec.paused does the
same by declaration, and each of the two is enough.

Examples:
  pilotlight queue pause llama nightly
  pilotlight queue resume models/llama nightly

${GATEWAY_HELP}
${EXIT_CODES_HELP}`;

export function addQueueCommand(host: CommandHost): void {
  const queue = host.program
    .command('queue')
    .summary('what waits and why; pause, resume, dead letters')
    .description('Look at queues, steer them, and deal with jobs that failed.')
    .helpCommand(false)
    .addHelpText('after', HELP);
  addList(queue, host.context);
  addTickets(queue, host.context);
  addExplain(queue, host);
  for (const verb of ['pause', 'resume'] as const) addPause(queue, verb, host.context);
  addDeadCommand(queue, host);
}

function addList(queue: Command, context: CliContext): void {
  const command = queue
    .command('list [pool]', { isDefault: true })
    .description('Show what waits, runs and is stored, for each objective as far as it is told.');
  addOutputOption(addTargetOptions(command))
    .addHelpText('after', LIST_HELP)
    .action(async (name: string | undefined, flags: OutputFlags) => {
      if (!isClusterMeant(flags, context)) {
        const isTold = await withQueues(flags, context, async (calls) => {
          const all = await calls.all();
          if (all === null) return false;
          const [key] = name === undefined ? [] : await calls.pools(name);
          const pools = all.filter(({ pool }) => key === undefined || pool === key);
          const { renderQueues } = await import('../queue/render-queues.ts');
          print(flags, context, { pools }, () => renderQueues(pools));
          return true;
        });
        if (isTold) return;
      }
      await listQueues(name, flags, context);
    });
}

function addTickets(queue: Command, context: CliContext): void {
  const command = queue
    .command('tickets [pool]')
    .description('Show the live order: what waits for a slot, at which place and why, and what runs.')
    .option('--objective <name>', 'only of this InferenceObjective')
    .option('--tenant <name>', 'only of this tenant')
    .addOption(new Option('--limit <n>', 'at most so many of each pool').argParser(wholeNumber(1, 500)).default(100));
  type Flags = QueueFlags & { readonly objective?: string; readonly tenant?: string; readonly limit: number };
  addOutputOption(addAdminOptions(command))
    .addHelpText('after', TICKETS_HELP)
    .action(async (name: string | undefined, flags: Flags) => {
      await withQueues(flags, context, async (calls) => {
        const { objective, tenant, limit } = flags;
        const query = { limit: String(limit), ...(objective && { objective }), ...(tenant && { tenant }) };
        const pools = await calls.pools(name);
        const told = await Promise.all(
          pools.map(async (pool) => (await calls.tickets(pool, query)).map((ticket) => ({ pool, ...ticket }))),
        );
        const { inTurn, renderTickets } = await import('../queue/render-queues.ts');
        const tickets = told.flatMap(inTurn);
        const isChosen = objective !== undefined || tenant !== undefined;
        print(flags, context, { tickets }, () => renderTickets(tickets, { nowEpochMs: Date.now(), isChosen }));
        for (const [index, pool] of pools.entries()) {
          if (told[index]?.length === limit)
            context.stderr(`${pool} may have more than these; --limit shows up to 500\n`);
        }
      });
    });
}

function addExplain(queue: Command, { context, finish }: CommandHost): void {
  const command = queue
    .command('explain <id>')
    .description('Say where one request or job is, and what it waits for.')
    .option('--pool <pool>', 'look only there');
  addOutputOption(addAdminOptions(command))
    .addHelpText('after', EXPLAIN_HELP)
    .action(async (id: string, flags: QueueFlags & { readonly pool?: string }) => {
      await withQueues(flags, context, async (calls) => {
        const pools = await calls.pools(flags.pool);
        const all = await Promise.all(pools.map((pool) => calls.explain(pool, id)));
        const [found] = [...all.filter(({ place }) => place.kind !== 'unknown'), ...all];
        if (!found) {
          context.stderr('there are no pools\n');
          finish(EXIT.FAILED);
          return;
        }
        const { renderExplained } = await import('../queue/render-queues.ts');
        print(flags, context, found, () => renderExplained(found, Date.now()));
        if (found.place.kind === 'unknown') finish(EXIT.FAILED);
      });
    });
}

function addPause(queue: Command, verb: 'pause' | 'resume', context: CliContext): void {
  const command = queue
    .command(`${verb} <pool> <objective>`)
    .description(
      verb === 'pause'
        ? 'Give the work of one objective no slots until it is resumed.'
        : 'End the pause of an objective.',
    );
  addOutputOption(addAdminOptions(command))
    .addHelpText('after', PAUSE_HELP)
    .action(async (name: string, objective: string, flags: QueueFlags) => {
      await withQueues(flags, context, async (calls) => {
        const [pool = name] = await calls.pools(name);
        const told = await calls.setPaused(pool, objective, verb === 'pause');
        const { byPolicy, byOperator } = told.paused;
        const now = byOperator ? 'is paused' : byPolicy ? 'stays paused by its policy (spec.paused)' : 'goes on';
        print(flags, context, told, () => `${told.pool}: ${told.objective} ${now}\n`);
      });
    });
}
