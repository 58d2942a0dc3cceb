import type { AcceptedJob, JobFacts } from './facts.ts';
import { type JobState, judgeJob, parseJobState, type ResultLine } from './job-result.ts';
import { jobBody, jobTicket } from './requests.ts';
import type { Session } from './session.ts';
import type { PlannedRequest } from './workload.ts';

const CONCURRENT_READS = 16;
/** A job that /status called settled and that is not yet so for its own page is asked again. */
const PAUSE_MS = 500;

export interface CollectOptions {
  readonly session: Session;
  readonly planned: readonly PlannedRequest[];
  /** Jobs without an outcome after this are reported as such. */
  readonly untilMs: number;
  readonly write: (line: ResultLine) => Promise<void>;
  readonly collected: (job: JobFacts) => void;
}

/** Fetches the outcome and the result of every job and writes a line for each that has one. */
export async function collectResults(options: CollectOptions, jobs: readonly AcceptedJob[]): Promise<void> {
  await options.session.each(jobs, CONCURRENT_READS, async (job) => {
    const state = await settledState(options, job.id);
    options.collected(await collectOne(options, job, state));
  });
}

async function collectOne(
  { session, planned, write }: CollectOptions,
  job: AcceptedJob,
  state: JobState | null,
): Promise<JobFacts> {
  const request = planned[job.index];
  if (request === undefined || state === null) return { ...job, status: null, textIsRight: null, waitMs: null };
  const resultText = state.status === 'completed' ? await read(session, `/v1/jobs/${job.id}/result`) : null;
  const { facts, text, usage } = judgeJob(job, state, resultText, jobBody(session.seed, request));
  if (facts.status !== null) {
    const { number: ticket, subject } = jobTicket(session.seed, request);
    const waitSeconds = facts.waitMs === null ? null : facts.waitMs / 1_000;
    const error = state.error?.message ?? null;
    await write({ id: job.id, ticket, subject, status: facts.status, text, usage, error, waitSeconds });
  }
  return facts;
}

/** The state of a job once it is over; as it is when time is up; null when nobody knows the job. */
async function settledState({ session, untilMs }: CollectOptions, id: string): Promise<JobState | null> {
  for (;;) {
    const text = await read(session, `/v1/jobs/${id}`);
    const state = text === null ? null : parseJobState(text);
    const isOver = state !== null && state.status !== 'queued' && state.status !== 'running';
    if (isOver || session.elapsedMs() > untilMs) return state;
    await session.clock.sleep(PAUSE_MS, session.signal);
  }
}

/** The body of a 200; null for any other answer. A lost answer is asked for again while the server can be reached. */
async function read(session: Session, path: string): Promise<string | null> {
  for (;;) {
    const answer = await session.send({ method: 'GET', path, key: session.keys.jobs });
    if (answer.kind === 'answer') return answer.status === 200 ? answer.text : null;
    await session.pauseAfterLoss();
  }
}
