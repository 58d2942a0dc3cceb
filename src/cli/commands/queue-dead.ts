import { type Command, InvalidArgumentError, Option } from 'commander';
import type { DeadLetter, DeadLetterAnswer } from '../../core/queues.ts';
import { parseDuration } from '../../core/units.ts';
import type { CliContext, CommandHost } from '../context.ts';
import { CliError, EXIT, EXIT_CODES_HELP } from '../exit-codes.ts';
import { wholeNumber } from '../option-values.ts';
import type { DeadChoice } from '../queue/queue-calls.ts';
import { print, type QueueFlags, withQueues } from '../queue/with-queues.ts';
import { addAdminOptions, GATEWAY_HELP } from '../target-options.ts';
import { addOutputOption } from './pools.ts';

const HELP = `
A dead letter is a job that failed for good: its attempts are used up, three processes ended while they held it, or its answer
could not be kept. It is kept as long as results are (limits.jobResultRetention).

retry accepts the same request again, as a new job of the same tenant (job_1 becomes job_1-r1), which has the time to its
deadline that the first one had. The failed job keeps its outcome and names the new one (retried_as). purge forgets jobs:
their tenants do not find them any more. Repeating either does no harm. Rows of batches have "pilotlight batch retry".

Examples:
  pilotlight queue dead list
  pilotlight queue dead show job_01HZX
  pilotlight queue dead retry job_01HZX job_01HZY
  pilotlight queue dead retry --objective nightly
  pilotlight queue dead purge --older-than 12h --pool llama
  pilotlight queue dead purge --all
  pilotlight queue dead list -o json | jq -r '.deadLetters[] | select(.code == "upstream_error") | .id'

${GATEWAY_HELP}
${EXIT_CODES_HELP}`;

interface ChoiceFlags extends QueueFlags {
  readonly pool?: string;
  readonly objective?: string;
  readonly olderThan?: string;
}

export function addDeadCommand(queue: Command, { context, finish }: CommandHost): void {
  const dead = queue
    .command('dead')
    .summary('jobs that failed for good: list, show, retry, purge')
    .description('Look at jobs that failed for good, run them again, or forget them.')
    .helpCommand(false)
    .addHelpText('after', HELP);
  addList(dead, context);
  addShow(dead, context);
  for (const verb of ['retry', 'purge'] as const) addOrder(dead, verb, { context, finish });
}

function addList(dead: Command, context: CliContext): void {
  const command = choosing(
    dead.command('list').description('dead letters, by objective, oldest first'),
    'list',
  ).addOption(new Option('--limit <n>', 'at most so many of each pool').argParser(wholeNumber(1, 10_000)).default(100));
  addOutputOption(addAdminOptions(command)).action(async (flags: ChoiceFlags & { readonly limit: number }) => {
    await withQueues(flags, context, async (calls) => {
      const told: (DeadLetter & { readonly pool: string })[] = [];
      for (const pool of await calls.pools(flags.pool)) {
        let after: string | null = null;
        let left = flags.limit;
        do {
          const query = { ...choiceOf(flags), limit: String(Math.min(left, 500)), ...(after !== null && { after }) };
          const page = await calls.deadLetters(pool, query);
          for (const letter of page.letters) told.push({ pool, ...letter });
          left -= page.letters.length;
          after = page.next;
        } while (after !== null && left > 0);
        if (after !== null) context.stderr(`${pool} has more; --limit shows them\n`);
      }
      const { renderDeadLetters } = await import('../queue/render-queues.ts');
      print(flags, context, { deadLetters: told }, () => renderDeadLetters(told, Date.now()));
    });
  });
}

function addShow(dead: Command, context: CliContext): void {
  const command = dead
    .command('show <id>')
    .description('what is known of a dead letter, as JSON; nothing of the request itself')
    .option('--pool <pool>', 'look only there');
  addAdminOptions(command).action(async (id: string, flags: QueueFlags & { readonly pool?: string }) => {
    await withQueues(flags, context, async (calls) => {
      for (const pool of await calls.pools(flags.pool)) {
        const letter = await calls.deadLetter(pool, id);
        if (letter) {
          context.stdout(`${JSON.stringify({ ...letter, pool }, null, 2)}\n`);
          return;
        }
      }
      throw new CliError(EXIT.FAILED, `"${id}" is no dead letter; where it is: pilotlight queue explain ${id}`);
    });
  });
}

const ORDER_TEXTS = {
  retry: 'accept the requests of dead letters again, as new jobs',
  purge: 'forget dead letters, their requests and their outcomes',
} as const;

type OrderFlags = ChoiceFlags & { readonly all?: true };

function addOrder(dead: Command, verb: 'retry' | 'purge', { context, finish }: Omit<CommandHost, 'program'>): void {
  const command = choosing(dead.command(`${verb} [ids...]`).description(ORDER_TEXTS[verb]), verb).option(
    '--all',
    `${verb} all dead letters of the pool, or of all pools`,
  );
  addOutputOption(addAdminOptions(command)).action(async (ids: readonly string[], flags: OrderFlags) => {
    const choice = choiceOf(flags);
    const chooses = Object.keys(choice).length > 0 || flags.all === true;
    if (ids.length > 0 === chooses) {
      const how = 'name dead letters by their ids, or choose them with --objective, --older-than or --all';
      throw new CliError(EXIT.USAGE, ids.length > 0 ? `${how}, not both` : how);
    }
    await withQueues(flags, context, async (calls) => {
      const { orderChosen, orderIds } = await import('../queue/order-dead.ts');
      const order = { calls, context, verb, pools: await calls.pools(flags.pool) };
      const answers = ids.length > 0 ? await orderIds(order, ids) : await orderChosen(order, choice);
      print(flags, context, { verb, answers }, () => answers.map(line).join(''));
      context.stderr(`${summary(verb, answers)}\n`);
      if (answers.some(({ kind }) => kind === 'refused' || kind === 'not_dead')) finish(EXIT.FAILED);
    });
  });
}

function line(answer: DeadLetterAnswer): string {
  switch (answer.kind) {
    case 'retried':
      return `${answer.id}\t${answer.retriedAs}\n`;
    case 'purged':
      return `${answer.id}\tpurged\n`;
    case 'not_dead':
      return `${answer.id}\tis no dead letter\n`;
    case 'refused':
      return `${answer.id}\trefused: ${answer.message} (${answer.code})\n`;
  }
}

function summary(verb: 'retry' | 'purge', answers: readonly DeadLetterAnswer[]): string {
  const count = (kind: DeadLetterAnswer['kind']): number => answers.filter((answer) => answer.kind === kind).length;
  const done = verb === 'retry' ? `${count('retried')} retried` : `${count('purged')} purged`;
  const others = [
    ...(count('refused') > 0 ? [`${count('refused')} refused`] : []),
    ...(count('not_dead') > 0 ? [`${count('not_dead')} no dead letters`] : []),
  ];
  return [done, ...others].join(', ');
}

function choosing(command: Command, verb: string): Command {
  return command
    .option('--pool <pool>', `${verb} only those of this pool (default: all pools)`)
    .option('--objective <name>', `${verb} only those of this InferenceObjective`)
    .addOption(new Option('--older-than <duration>', `${verb} only those that failed so long ago`).argParser(age));
}

function age(text: string): string {
  if (parseDuration(text).ok) return text;
  throw new InvalidArgumentError('Write a duration with a unit, like "30m" or "12h".');
}

function choiceOf({ objective, olderThan }: ChoiceFlags): DeadChoice & Record<string, string> {
  return { ...(objective && { objective }), ...(olderThan && { olderThan }) };
}
