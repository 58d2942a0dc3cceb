import { setTimeout as sleep } from 'node:timers/promises';
import { type ClientAnswer, expectJson, explainRefusal } from './client.ts';
import type { CliContext } from './context.ts';
import { CliError, EXIT } from './exit-codes.ts';
import type { PatientClient } from './patience.ts';

/** Pauses between two looks at an unfinished job. */
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 2_000;

/** A job as far as the client commands read it; docs/http-api.md has all of it. */
export interface JobState {
  readonly id: string;
  readonly status: 'queued' | 'running' | 'completed' | 'failed' | 'cancelled' | 'expired';
}

export function jobPath(id: string): string {
  return `/v1/jobs/${encodeURIComponent(id)}`;
}

export async function getJob(client: PatientClient, id: string, signal: AbortSignal): Promise<JobState> {
  return expectJson(await client.send({ path: jobPath(id), signal })) as JobState;
}

/** Looks at a job until it has finished. Rejects with the signal's reason when that aborts. */
export async function waitForJob(client: PatientClient, id: string, signal: AbortSignal): Promise<JobState> {
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 1.5, LONGEST_PAUSE_MS)) {
    const job = await getJob(client, id, signal);
    if (job.status !== 'queued' && job.status !== 'running') return job;
    await sleep(pauseMs, undefined, { signal });
  }
}

/** The model server's answer to a finished job, its own refusals included, or why there is none. */
export async function jobAnswer(
  client: PatientClient,
  job: JobState,
  signal: AbortSignal,
): Promise<ClientAnswer | { readonly failure: string }> {
  const answer = await client.send({ path: `${jobPath(job.id)}/result`, signal });
  return job.status === 'completed' ? answer : { failure: `${job.status}: ${explainRefusal(answer)}` };
}

/** Prints the answer to a finished job and returns the exit code that it means. Throws a CliError when there is none. */
export async function printJobAnswer(
  client: PatientClient,
  job: JobState,
  { stdout }: Pick<CliContext, 'stdout'>,
  signal: AbortSignal,
): Promise<number> {
  const answer = await jobAnswer(client, job, signal);
  if ('failure' in answer) throw new CliError(EXIT.FAILED, answer.failure);
  stdout(answer.text.endsWith('\n') ? answer.text : `${answer.text}\n`);
  return answer.status < 400 ? EXIT.OK : EXIT.FAILED;
}
