import { type Command, InvalidArgumentError, Option } from 'commander';
import { type BatchState, changeBatch, getBatch } from '../batch/batch-calls.ts';
import { parseDueTime } from '../batch/due-time.ts';
import { expectJson } from '../client.ts';
import { addClientOptions, apiClient, type ClientOptions, patientClient } from '../client-options.ts';
import type { CliContext, CommandHost } from '../context.ts';
import { EXIT, EXIT_CODES_HELP } from '../exit-codes.ts';
import { wholeNumber } from '../option-values.ts';

const HELP = `
A batch is one file in, one file out: each line of the input is an OpenAI batch row
{"custom_id":"…","method":"POST","url":"/v1/chat/completions","body":{…}}, and each is answered exactly once, whatever
stops meanwhile. Nothing is lost by Ctrl-C: the same command goes on (<file>.batch.json remembers the batch).

Examples:
  pilotlight batch submit tickets.jsonl --objective nightly --by 06:00 --wait
  pilotlight batch submit tickets.jsonl --dry-run
  pilotlight batch watch batch_0a1b
  pilotlight batch pause batch_0a1b --reason "the pool is needed for a demo"
  pilotlight batch results batch_0a1b --out summaries.jsonl
  pilotlight batch retry batch_0a1b

${EXIT_CODES_HELP}`;

interface SubmitOptions extends ClientOptions {
  readonly objective?: string;
  readonly by?: number;
  readonly window: string;
  readonly endpoint?: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly attempts?: number;
  readonly skipInvalid?: true;
  readonly rowMeta?: true;
  readonly dryRun?: true;
  readonly wait?: true;
  readonly out?: string;
  readonly errorsOut?: string;
}

export function addBatchCommand({ program, context, finish }: CommandHost): void {
  const batch = program
    .command('batch')
    .summary('run a file of requests, each row exactly once')
    .description('Run files of requests as batches, and look at, steer and fetch them.')
    .addHelpText('after', HELP);
  addSubmit(batch, context, finish);
  addLooks(batch, context, finish);
  addChanges(batch, context);
}

function addSubmit(batch: Command, context: CliContext, finish: (code: number) => void): void {
  const command = batch
    .command('submit <file>')
    .description('upload a *.jsonl file and run it as one batch')
    .option('--objective <name>', 'InferenceObjective of its rows (default: that of the caller)')
    .option('--by <time>', 'when it should be done: "06:00", "8h", "2026-12-01T06:00"', dueEpochMs)
    .option('--window <window>', 'completion window; rows that have not run when it ends are given up', '24h')
    .option('--endpoint <path>', 'API path of its rows (default: the url of the first row)')
    .addOption(metadataOption())
    .option('--attempts <n>', 'tries of one row (default: the server decides)', wholeNumber(1, 20))
    .option('--skip-invalid', 'run the good rows of a file with bad ones; those go to the error file')
    .option('--row-meta', 'attempts, wait and last error of each row in its output line')
    .option('--dry-run', 'only say what is wrong with the file, or how long it would take')
    .option('--wait', 'show a progress bar until it is done, then download')
    .option('--out <file>', 'with --wait: where results go (default <file>.results.jsonl)')
    .option('--errors-out <file>', 'with --wait: where rows without a good answer go (default <file>.errors.jsonl)');
  addClientOptions(command).action(async (file: string, options: SubmitOptions) => {
    const { dryRunBatch, submitBatch } = await import('../batch/submit-batch.ts');
    const { firstRowUrl } = await import('../batch/first-row.ts');
    const endpoint = options.endpoint ?? (await firstRowUrl(file));
    const plan = {
      client: patientClient(options, context),
      context,
      inputPath: file,
      wishes: wishes(options, endpoint),
    };
    if (options.dryRun) finish(await dryRunBatch(plan, null));
    else finish(await submitBatch({ ...plan, out: options.wait ? outPaths(file, options) : null }));
  });
}

function wishes(options: SubmitOptions, endpoint: string): Readonly<Record<string, unknown>> {
  const own = {
    ...(options.objective !== undefined && { objective: options.objective }),
    ...(options.by !== undefined && { deadline: new Date(options.by).toISOString() }),
    ...(options.attempts !== undefined && { max_attempts: options.attempts }),
    ...(options.skipInvalid && { on_invalid_row: 'skip' }),
    ...(options.rowMeta && { include_row_meta: true }),
  };
  return {
    endpoint,
    completion_window: options.window,
    ...(Object.keys(options.metadata).length > 0 && { metadata: options.metadata }),
    ...(Object.keys(own).length > 0 && { pilotlight: own }),
  };
}

function outPaths(base: string, { out, errorsOut }: { readonly out?: string; readonly errorsOut?: string }) {
  return { outputPath: out ?? `${base}.results.jsonl`, errorsPath: errorsOut ?? `${base}.errors.jsonl` };
}

function addLooks(batch: Command, context: CliContext, finish: (code: number) => void): void {
  addClientOptions(
    batch
      .command('list')
      .description('batches, newest first')
      .option('--status <status>', 'only these, like in_progress')
      .option('--limit <n>', 'at most so many', wholeNumber(1, 100), 20)
      .option('-o, --output <format>', 'table or json', 'table'),
  ).action(async (options: ClientOptions & { status?: string; limit: number; output: string }) => {
    const query = new URLSearchParams({ limit: String(options.limit) });
    if (options.status !== undefined) query.set('status', options.status);
    const request = { path: `/v1/batches?${query.toString()}`, signal: context.interruption() };
    const page = expectJson(await apiClient(options, context).send(request)) as { readonly data: BatchState[] };
    const { renderBatches } = await import('../batch/render-batches.ts');
    const isJson = options.output === 'json';
    context.stdout(isJson ? `${JSON.stringify(page, null, 2)}\n` : renderBatches(page.data, Date.now()));
  });

  addClientOptions(batch.command('get <id>').description('everything that is known of a batch, as JSON')).action(
    async (id: string, options: ClientOptions) => {
      const state = await getBatch(apiClient(options, context), id, context.interruption());
      context.stdout(`${JSON.stringify(state, null, 2)}\n`);
    },
  );

  addClientOptions(batch.command('watch <id>').description('a progress bar until it is done')).action(
    async (id: string, options: ClientOptions) => {
      const { followBatch } = await import('../batch/follow-batch.ts');
      const last = await followBatch(patientClient(options, context), id, context, context.interruption());
      context.stdout(`${last.status}\n`);
      finish(last.status === 'completed' ? EXIT.OK : EXIT.FAILED);
    },
  );

  addClientOptions(
    batch
      .command('results <id>')
      .description('download the files of a batch; while it runs, with --partial, the rows that are done')
      .option('--wait', 'until it is done')
      .option('--partial', 'print the rows that are done so far')
      .option('--out <file>', 'where results go (default <id>.results.jsonl)')
      .option('--errors-out <file>', 'where rows without a good answer go (default <id>.errors.jsonl)'),
  ).action(
    async (id: string, options: ClientOptions & { wait?: true; partial?: true; out?: string; errorsOut?: string }) => {
      const { printPartial, resultsOf } = await import('../batch/results.ts');
      const client = patientClient(options, context);
      if (options.partial) await printPartial(client, id, context);
      else finish(await resultsOf(client, id, outPaths(id, options), options.wait === true, context));
    },
  );
}

/** Verbs without an argument of their own. */
const VERBS = [
  ['cancel', 'rows that run may finish, the others are given up', 'cancel'],
  ['resume', 'let the rows of a paused batch run', 'resume'],
  ['retry', 'a new batch of the rows that did not complete', 'retry_failed'],
] as const;

function addChanges(batch: Command, context: CliContext): void {
  const say = ({ id, status }: BatchState): void => context.stderr(`${id} is ${status}\n`);
  for (const [name, description, verb] of VERBS) {
    addClientOptions(batch.command(`${name} <id>`).description(description)).action(
      async (id: string, options: ClientOptions) => {
        const state = await changeBatch(apiClient(options, context), id, verb, {}, context.interruption());
        say(state);
        if (name === 'retry') context.stdout(`${state.id}\n`);
      },
    );
  }
  addClientOptions(
    batch
      .command('pause <id>')
      .description('no row starts until it is resumed; those that run finish')
      .option('--reason <text>', 'kept with the batch'),
  ).action(async (id: string, options: ClientOptions & { reason?: string }) => {
    const body = options.reason === undefined ? {} : { reason: options.reason };
    say(await changeBatch(apiClient(options, context), id, 'pause', body, context.interruption()));
  });
  addClientOptions(
    batch
      .command('prioritize <id>')
      .description('run the rows that have not run under another objective')
      .requiredOption('--objective <name>', 'InferenceObjective'),
  ).action(async (id: string, options: ClientOptions & { objective: string }) => {
    const body = { objective: options.objective };
    say(await changeBatch(apiClient(options, context), id, 'priority', body, context.interruption()));
  });
  addClientOptions(
    batch
      .command('extend <id>')
      .description('a later end of its window')
      .requiredOption('--until <time>', '"06:00", "8h", "2026-12-01T06:00"', dueEpochMs),
  ).action(async (id: string, options: ClientOptions & { until: number }) => {
    const body = { expires_at: Math.floor(options.until / 1_000) };
    say(await changeBatch(apiClient(options, context), id, 'extend', body, context.interruption()));
  });
}

function dueEpochMs(text: string): number {
  const due = parseDueTime(text, new Date());
  if (due.ok) return due.value;
  throw new InvalidArgumentError(due.problem);
}

function metadataOption(): Option {
  return new Option('--metadata <key=value>', 'kept with the batch; may be repeated')
    .argParser(keyValue)
    .default({}, 'none');
}

function keyValue(text: string, before: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('Write key=value.');
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}
