import { MODEL } from '../../src/simulate/demo/names.ts';
import { expectedText } from './expected-text.ts';

export interface SubmittedJob {
  readonly id: string;
  /** What the simulator must answer to its prompt and to no other. */
  readonly expected: string;
}

export interface JobLoad {
  readonly count: number;
  readonly objective: string;
  /** Default: the demo's. */
  readonly model?: string;
  /** Default: anything but 202 throws. Whether a job without an answer was accepted is not known: skipped too. */
  readonly refusals?: 'throw' | 'skip';
}

const OUTPUT_TOKENS = 40;
const CONCURRENCY = 16;

let prompts = 0;

/** Submits distinct jobs and returns those that were accepted. */
export async function submitJobs(apiUrl: string, load: JobLoad): Promise<SubmittedJob[]> {
  const { count, objective, model = MODEL, refusals = 'throw' } = load;
  const accepted = await mapConcurrently(
    Array.from({ length: count }, (_, index) => index),
    async (index) => {
      prompts += 1;
      const body = {
        model,
        max_tokens: OUTPUT_TOKENS,
        ignore_eos: true as const,
        messages: [{ role: 'user', content: `Summarise ticket ${prompts}.` }],
      };
      const { status, text } = await postJob(apiUrl, { objective, body });
      if (status === 202) return [{ id: (JSON.parse(text) as { id: string }).id, expected: expectedText(body) }];
      if (refusals === 'throw') throw new Error(`job ${index} got ${status}: ${text}`);
      return [];
    },
  );
  return accepted.flat();
}

/** Status 0: no answer. */
async function postJob(apiUrl: string, job: unknown): Promise<{ readonly status: number; readonly text: string }> {
  try {
    const answer = await fetch(`${apiUrl}/v1/jobs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(job),
    });
    return { status: answer.status, text: await answer.text() };
  } catch (error) {
    return { status: 0, text: String((error as Error).cause ?? error) };
  }
}

export interface JobOutcome extends SubmittedJob {
  readonly status: string;
  readonly text: string | undefined;
}

export async function fetchResults(apiUrl: string, jobs: readonly SubmittedJob[]): Promise<JobOutcome[]> {
  return mapConcurrently(jobs, async (job) => {
    const { status } = (await (await fetch(`${apiUrl}/v1/jobs/${job.id}`)).json()) as { status: string };
    const result = (await (await fetch(`${apiUrl}/v1/jobs/${job.id}/result`)).json()) as {
      choices?: { message: { content: string } }[];
    };
    return { ...job, status, text: result.choices?.[0]?.message.content };
  });
}

async function mapConcurrently<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const queue = [...items.entries()];
  const run = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) results[next[0]] = await work(next[1]);
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, run));
  return results;
}
