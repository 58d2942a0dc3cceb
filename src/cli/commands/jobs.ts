import { expectJson } from '../client.ts';
import { addClientOptions, apiClient, type ClientOptions, patientClient } from '../client-options.ts';
import type { CommandHost } from '../context.ts';
import { EXIT_CODES_HELP } from '../exit-codes.ts';
import { getJob, type JobState, jobPath, printJobAnswer, waitForJob } from '../job-calls.ts';

const HELP = `
Examples:
  pilotlight jobs get job_01HZX
  pilotlight jobs result job_01HZX --wait > answer.json
  pilotlight jobs cancel job_01HZX

${EXIT_CODES_HELP}`;

export function addJobsCommand({ program, context, finish }: CommandHost): void {
  const jobs = program
    .command('jobs')
    .summary('look at, fetch or cancel stored jobs')
    .description('Look at a stored job, fetch its result, or cancel it.')
    .addHelpText('after', HELP);

  addClientOptions(jobs.command('get <id>').description('print what is known of a job, as JSON')).action(
    async (id: string, options: ClientOptions) => {
      const answer = await apiClient(options, context).send({ path: jobPath(id), signal: context.interruption() });
      context.stdout(`${JSON.stringify(expectJson(answer), null, 2)}\n`);
    },
  );

  addClientOptions(jobs.command('result <id>').description("print the model server's answer to a job"))
    .option('--wait', 'wait until the job has finished')
    .action(async (id: string, options: ClientOptions & { wait?: true }) => {
      const signal = context.interruption();
      const client = patientClient(options, context);
      const job = await (options.wait ? waitForJob : getJob)(client, id, signal);
      finish(await printJobAnswer(client, job, context, signal));
    });

  addClientOptions(jobs.command('cancel <id>').description('cancel a job that has not finished')).action(
    async (id: string, options: ClientOptions) => {
      const request = { method: 'POST', path: `${jobPath(id)}/cancel`, signal: context.interruption() } as const;
      const job = expectJson(await apiClient(options, context).send(request)) as JobState;
      context.stderr(`${job.id} is ${job.status}\n`);
    },
  );
}
