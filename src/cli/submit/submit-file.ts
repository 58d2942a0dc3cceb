import type { CliContext } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { jobAnswer, waitForJob } from '../job-calls.ts';
import type { PatientClient } from '../patience.ts';
import type { Bodies } from './bodies.ts';
import { inParallel } from './in-parallel.ts';
import { Journal } from './journal.ts';
import { JsonlFile } from './jsonl-file.ts';
import { startProgress } from './progress.ts';
import { type JobWishes, submitBody } from './submit-lines.ts';

/** Calls in flight: enough to hide the round trip, few enough to leave the gateway to others. */
const SUBMITS_IN_FLIGHT = 32;
const RESULTS_IN_FLIGHT = 16;
/** After Ctrl-C the answers to what was sent are still awaited, so that no accepted job goes unnoticed. */
const LAST_ANSWERS_MS = 5_000;
/** Refusals shown one by one; the rest is counted. */
const MAX_REFUSALS_SHOWN = 10;

export interface FilePlan {
  readonly bodies: Bodies;
  readonly client: PatientClient;
  readonly context: CliContext;
  readonly wishes: JobWishes;
  readonly journalPath: string;
  /** Null = do not wait for results. */
  readonly resultsPath: string | null;
}

/** One line of the results file. */
interface ResultLine {
  readonly line: number;
  readonly id: string;
  readonly http_status: number | null;
  /** The model server's answer; null when there is none. */
  readonly response: unknown;
  /** Why there is none. */
  readonly error: string | null;
}

/** Submits every line that is not a job yet, then fetches every result that is not there yet. Returns the exit code. */
export async function submitFile(plan: FilePlan): Promise<number> {
  const { bodies, client, context, wishes } = plan;
  const interruption = context.interruption();
  const head = { input_sha256: bodies.sha256, url: client.url, objective: wishes.objective };
  const journal = new Journal(plan.journalPath, head);
  const results = plan.resultsPath === null ? null : new JsonlFile<ResultLine>(plan.resultsPath);
  let failures = 0;
  try {
    failures += await submitMissing(plan, journal, interruption);
    if (results && !interruption.aborted) failures += await fetchMissing(plan, journal, results, interruption);
  } catch (thrown) {
    if (!interruption.aborted) throw thrown;
  } finally {
    journal.close();
    results?.close();
  }
  if (interruption.aborted) {
    context.stderr(
      `interrupted: ${journal.ids.size} of ${bodies.count} lines are accepted and stay so (${journal.path}).\n` +
        'Run the same command again to go on.\n',
    );
    return EXIT.INTERRUPTED;
  }
  context.stderr(`${journal.ids.size} of ${bodies.count} lines accepted; their job ids: ${journal.path}\n`);
  if (plan.resultsPath !== null) context.stderr(`results: ${plan.resultsPath}\n`);
  else context.stderr('Run the same command with --wait to fetch the results.\n');
  return failures === 0 ? EXIT.OK : EXIT.FAILED;
}

/** Returns how many lines were refused. */
async function submitMissing(plan: FilePlan, journal: Journal, interruption: AbortSignal): Promise<number> {
  const { bodies, client, context, wishes } = plan;
  const signals = { signal: afterwards(interruption, LAST_ANSWERS_MS), pauseSignal: interruption };
  const progress = await startProgress(context, 'submitted', bodies.count, journal.ids.size);
  const refusals: string[] = [];
  try {
    await inParallel(bodies.read(), SUBMITS_IN_FLIGHT, interruption, async (body) => {
      if (journal.ids.has(body.line)) return;
      const answer = await submitBody(client, body, wishes, signals);
      if ('id' in answer) journal.accept(body.line, answer.id);
      else refusals.push(`line ${body.line}: ${answer.refusal}`);
      progress.step();
    });
  } finally {
    progress.stop();
    reportRefusals(context, refusals);
  }
  return refusals.length;
}

/** Returns how many jobs have no good answer, those of earlier runs included. */
async function fetchMissing(
  { client, context }: FilePlan,
  journal: Journal,
  results: JsonlFile<ResultLine>,
  interruption: AbortSignal,
): Promise<number> {
  const isFailure = (result: ResultLine) => result.http_status === null || result.http_status >= 400;
  const fetched = new Set(results.records.map((result) => result.line));
  let failures = results.records.filter(isFailure).length;
  const progress = await startProgress(context, 'results', journal.ids.size, fetched.size);
  try {
    const missing = [...journal.ids].filter(([line]) => !fetched.has(line));
    await inParallel(missing, RESULTS_IN_FLIGHT, interruption, async ([line, id]) => {
      const result = await fetchResult(client, line, id, interruption);
      results.append(result);
      if (isFailure(result)) failures += 1;
      progress.step();
    });
  } finally {
    progress.stop();
  }
  if (failures > 0) context.stderr(`${failures} of ${journal.ids.size} jobs have no good answer; see "error" there\n`);
  return failures;
}

async function fetchResult(client: PatientClient, line: number, id: string, signal: AbortSignal): Promise<ResultLine> {
  const job = await waitForJob(client, id, signal);
  const answer = await jobAnswer(client, job, signal);
  return 'failure' in answer
    ? { line, id, http_status: null, response: null, error: answer.failure }
    : { line, id, http_status: answer.status, response: jsonOrText(answer.text), error: null };
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

function reportRefusals(context: CliContext, refusals: readonly string[]): void {
  if (refusals.length === 0) return;
  const more = refusals.length > MAX_REFUSALS_SHOWN ? [`… and ${refusals.length - MAX_REFUSALS_SHOWN} more`] : [];
  context.stderr(`refused:\n${[...refusals.slice(0, MAX_REFUSALS_SHOWN), ...more].join('\n')}\n`);
}

/** Aborts `delayMs` after `signal` does. */
function afterwards(signal: AbortSignal, delayMs: number): AbortSignal {
  const controller = new AbortController();
  const later = () => void setTimeout(() => controller.abort(signal.reason), delayMs).unref();
  signal.addEventListener('abort', later, { once: true });
  return controller.signal;
}
