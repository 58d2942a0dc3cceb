import { addClientOptions, type ClientOptions, patientClient } from '../client-options.ts';
import type { CliContext, CommandHost } from '../context.ts';
import { CliError, EXIT, EXIT_CODES_HELP } from '../exit-codes.ts';
import type { Bodies } from '../submit/bodies.ts';

interface SubmitOptions extends ClientOptions {
  readonly model?: string;
  readonly prompt?: string;
  readonly objective?: string;
  readonly deadline?: string;
  readonly wait?: true;
  readonly out?: string;
}

const HELP = `
A *.jsonl file holds one OpenAI request a line (of /v1/chat/completions, /v1/completions or /v1/embeddings, told by its
fields); any other file holds one. A job is stored: it is done even if this program, Pilotlight or a GPU stops meanwhile.

With a *.jsonl file, the ids of accepted jobs are kept in <file>.jobs.jsonl. After Ctrl-C, or anything else, the same
command goes on where it stopped.

Examples:
  pilotlight submit --model tickets --prompt "Summarise: the printer is on fire" --wait
  pilotlight submit tickets.jsonl --objective nightly --deadline 8h
  pilotlight submit tickets.jsonl --objective nightly --wait --out summaries.jsonl

Next:
  pilotlight jobs result <id> --wait
  pilotlight status --watch

${EXIT_CODES_HELP}`;

export function addSubmitCommand({ program, context, finish }: CommandHost): void {
  const command = program
    .command('submit [file]')
    .summary('store one job, or one for each line of a file')
    .description('Store requests as jobs, from a file or from --model and --prompt.')
    .option('--model <name>', 'with --prompt: the model of a single chat')
    .option('--prompt <text>', 'with --model: what the user says in it')
    .option('--objective <name>', 'InferenceObjective of the jobs (default: that of the caller)')
    .option('--deadline <duration>', "from acceptance, like 8h (default: the objective's)")
    .option('--wait', 'wait for the results')
    .option('--out <file>', 'with --wait: where results of a *.jsonl file go (default <file>.results.jsonl)');
  addClientOptions(command)
    .addHelpText('after', HELP)
    .action(async (file: string | undefined, options: SubmitOptions) => {
      const bodies = await readBodies(file, options);
      if (file !== undefined && /\.(jsonl|ndjson)$/i.test(file))
        finish(await submitMany(file, bodies, options, context));
      else finish(await submitOne(bodies, options, context));
    });
}

async function readBodies(file: string | undefined, { model, prompt }: SubmitOptions): Promise<Bodies> {
  const { fileBodies, promptBody } = await import('../submit/bodies.ts');
  if (file !== undefined && model === undefined && prompt === undefined) return fileBodies(file);
  if (file === undefined && model !== undefined && prompt !== undefined) return promptBody(model, prompt);
  const how = 'name a file, or give both --model and --prompt';
  throw new CliError(EXIT.USAGE, `submit takes one of two: ${how}`);
}

async function submitMany(file: string, bodies: Bodies, options: SubmitOptions, context: CliContext): Promise<number> {
  const { submitFile } = await import('../submit/submit-file.ts');
  return submitFile({
    bodies,
    context,
    client: patientClient(options, context),
    wishes: { objective: options.objective ?? null, deadline: options.deadline ?? null },
    journalPath: `${file}.jobs.jsonl`,
    resultsPath: options.wait ? (options.out ?? `${file}.results.jsonl`) : null,
  });
}

async function submitOne(bodies: Bodies, options: SubmitOptions, context: CliContext): Promise<number> {
  const { submitBody } = await import('../submit/submit-lines.ts');
  const { printJobAnswer, waitForJob } = await import('../job-calls.ts');
  const client = patientClient(options, context);
  const signal = context.interruption();
  const wishes = { objective: options.objective ?? null, deadline: options.deadline ?? null };
  for await (const body of bodies.read()) {
    const answer = await submitBody(client, body, wishes, { signal });
    if ('refusal' in answer) throw new CliError(EXIT.FAILED, answer.refusal);
    if (!options.wait) {
      context.stdout(`${answer.id}\n`);
      context.stderr(`stored; its result: pilotlight jobs result ${answer.id} --wait\n`);
      return EXIT.OK;
    }
    context.stderr(`stored as ${answer.id}; waiting for its result (Ctrl-C leaves the job as it is)\n`);
    return printJobAnswer(client, await waitForJob(client, answer.id, signal), context, signal);
  }
  return EXIT.OK;
}
