import { z } from 'zod';
import type { AcceptedJob, JobFacts } from './facts.ts';
import { type ChatBody, expectedText } from './requests.ts';

const jobState = z.object({
  status: z.enum(['queued', 'running', 'completed', 'failed', 'cancelled', 'expired']),
  error: z.object({ message: z.string() }).nullish(),
});
export type JobState = z.output<typeof jobState>;

const completion = z.object({
  created: z.number(),
  choices: z.tuple([z.object({ message: z.object({ content: z.string() }) })]),
  usage: z.looseObject({}),
});

/** One line of the results file. */
export interface ResultLine {
  readonly id: string;
  readonly ticket: string;
  readonly subject: string;
  readonly status: string;
  readonly text: string | null;
  readonly usage: unknown;
  readonly error: string | null;
  readonly waitSeconds: number | null;
}

/** The answer to GET /v1/jobs/{id}; null when it is none. */
export function parseJobState(text: string): JobState | null {
  return parsedAs(jobState, text);
}

/** What is known of a job that is over, from its state and the model server's answer (null when it has none). */
export function judgeJob(
  job: AcceptedJob,
  state: JobState,
  resultText: string | null,
  body: ChatBody,
): { readonly facts: JobFacts; readonly text: string | null; readonly usage: unknown } {
  const { status } = state;
  if (status === 'queued' || status === 'running') {
    return { facts: { ...job, status: null, textIsRight: null, waitMs: null }, text: null, usage: null };
  }
  const answer = resultText === null ? null : parsedAs(completion, resultText);
  const text = answer?.choices[0].message.content ?? null;
  const textIsRight = status === 'completed' ? text === expectedText(body) : null;
  // The answer tells whole seconds: half a second later is the best guess.
  const waitMs = answer === null ? null : Math.max(0, answer.created * 1_000 + 500 - job.acceptedAtEpochMs);
  return { facts: { ...job, status, textIsRight, waitMs }, text, usage: answer?.usage ?? null };
}

function parsedAs<T>(schema: z.ZodType<T>, text: string): T | null {
  try {
    return schema.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}
