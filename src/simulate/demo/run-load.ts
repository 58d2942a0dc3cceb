import { asError } from '../../core/errors.ts';
import type { ProgressView } from './adapters/progress-view.ts';
import type { ResultsFile } from './adapters/results-file.ts';
import type { ServeProcess } from './adapters/serve-process.ts';
import type { Board } from './board.ts';
import { collectResults } from './collect-results.ts';
import type { RunFacts } from './facts.ts';
import { frameOf } from './frame.ts';
import { OBJECTIVES } from './names.ts';
import { settledCount } from './server-lives.ts';
import type { Session } from './session.ts';
import { streamChats } from './stream-chats.ts';
import { submitJobs } from './submit-jobs.ts';
import { look, watchStatus } from './watch-status.ts';
import type { Workload } from './workload.ts';

export interface LoadRun {
  readonly session: Session;
  readonly workload: Workload;
  readonly board: Board;
  readonly view: ProgressView;
  readonly server: ServeProcess;
  readonly results: ResultsFile;
  /** Null = the server is left alone. */
  readonly killServerAfterMs: number | null;
  /** Ends the session with this error. */
  readonly fail: (error: Error) => void;
}

const POLL_MS = 100;
/** For the pool to go back to zero once nothing is left to do: keep-warm, drain, and the end of the processes. */
const ZERO_WITHIN_MS = 90_000;
/** For a job that is settled as far as /status tells to be so for its own page too. */
const OUTCOME_WITHIN_MS = 20_000;
/** Chats whose waiting is told comment by comment. */
const NARRATED_CHATS = 2;

/** Sends the whole load, waits until everything is over and the pool is at zero again, and tells what happened. */
export async function runLoad(run: LoadRun): Promise<RunFacts> {
  const over = new AbortController();
  const beside = Promise.all([watch(run, over.signal), killOnTime(run, over.signal)]);
  try {
    await Promise.all([failing(run, chat(run)), failing(run, submit(run))]);
    await settle(run);
    await collect(run);
    const poolIsAtZero = await goToZero(run);
    // The counts of the last look may be older than the last outcome.
    await look(run.session, run.board);
    return { ...(await factsOf(run)), poolIsAtZero };
  } finally {
    over.abort();
    await beside;
  }
}

/** The failure of one part ends the others. */
async function failing({ fail }: LoadRun, part: Promise<void>): Promise<void> {
  try {
    await part;
  } catch (thrown) {
    fail(asError(thrown));
    throw thrown;
  }
}

async function watch({ session, board, view, workload, fail }: LoadRun, ends: AbortSignal): Promise<void> {
  const planned = { jobs: workload.jobs.length, chats: workload.chats.length };
  const listener = {
    looked: () => view.show(frameOf(board, planned, session.elapsedMs())),
    decided: (sentence: string) => say({ session, view }, `autoscaler: ${sentence}`),
  };
  try {
    await watchStatus(session, board, listener, ends);
  } catch (thrown) {
    fail(asError(thrown));
  }
}

async function submit({ session, workload, board, view }: LoadRun): Promise<void> {
  const [first] = workload.jobs;
  if (first !== undefined) {
    await session.until(first.atMs);
    say({ session, view }, `the jobs begin to come in: POST /v1/jobs, objective ${OBJECTIVES.nightly.name}`);
  }
  await submitJobs(session, workload.jobs, {
    accepted: (job) => board.accepted.push(job),
    refused: () => (board.refusals.jobs += 1),
    unanswered: () => (board.unansweredSubmissions += 1),
  });
  board.allSubmitted = true;
  if (board.accepted.length > 0) say({ session, view }, `all ${board.accepted.length} jobs are accepted and stored`);
}

async function chat({ session, workload, board, view }: LoadRun): Promise<void> {
  const tell = (index: number, text: string) => {
    if (index < NARRATED_CHATS) say({ session, view }, `chat ${index + 1} ${text}`);
  };
  await streamChats(session, workload.chats, {
    hasReadyReplica: () => board.hasReadyReplica,
    sent: (index) => tell(index, `is sent; ${board.hasReadyReplica ? 'a replica is ready' : 'no replica is ready'}`),
    comment: (index, text) => tell(index, `is told ": ${text}"`),
    refused: () => (board.refusals.chats += 1),
    firstToken: (index, ttftMs) => tell(index, `has its first token after ${(ttftMs / 1_000).toFixed(2)} s`),
    ended: (facts) => {
      board.chats.push(facts);
      if (facts.error !== null) say({ session, view }, `chat ${facts.index + 1}: ${facts.error}`);
    },
  });
}

async function killOnTime({ session, view, server, killServerAfterMs }: LoadRun, tooLate: AbortSignal): Promise<void> {
  if (killServerAfterMs === null) return;
  const delayMs = Math.max(0, killServerAfterMs - session.elapsedMs());
  await session.clock.sleep(delayMs, AbortSignal.any([session.signal, tooLate])).catch(() => undefined);
  if (session.signal.aborted || tooLate.aborted) return;
  say({ session, view }, `kill -9 ${server.pid ?? '(gone)'}: the serving process, in the middle of its work`);
  server.kill();
}

async function settle({ session, board }: LoadRun): Promise<void> {
  // The watch fails the session when nothing moves any more.
  while (!board.allJobsSettled) await session.clock.sleep(POLL_MS, session.signal);
}

async function collect({ session, workload, board, view, results }: LoadRun): Promise<void> {
  if (board.accepted.length > 0) say({ session, view }, 'every job has its outcome; fetching the results');
  const untilMs = session.elapsedMs() + OUTCOME_WITHIN_MS;
  const options = {
    session,
    planned: workload.jobs,
    untilMs,
    write: results.write.bind(results),
    collected: (job: Board['collected'][number]) => board.collected.push(job),
  };
  await collectResults(options, board.accepted);
  await results.close();
}

async function goToZero({ session, board, view }: LoadRun): Promise<boolean> {
  const untilMs = session.elapsedMs() + ZERO_WITHIN_MS;
  if (!board.isAtZero) say({ session, view }, 'nothing is left to do; the pool is kept warm a little and then ends');
  while (!board.isAtZero && session.elapsedMs() < untilMs) await session.clock.sleep(POLL_MS, session.signal);
  if (board.isAtZero) say({ session, view }, 'the pool is at zero again');
  return board.isAtZero;
}

async function factsOf({ workload, board, results, server }: LoadRun): Promise<Omit<RunFacts, 'poolIsAtZero'>> {
  return {
    plannedJobs: workload.jobs.length,
    plannedChats: workload.chats.length,
    jobs: board.collected,
    chats: board.chats,
    unansweredSubmissions: board.unansweredSubmissions,
    resultIds: await results.readIds(),
    settled: {
      jobs: settledCount(board.lives, OBJECTIVES.nightly.name),
      chats: settledCount(board.lives, OBJECTIVES.interactive.name),
    },
    serverDeaths: server.deaths,
  };
}

/** A line with the time of the run in front. */
function say({ session, view }: Pick<LoadRun, 'session' | 'view'>, text: string): void {
  view.say(`[${(session.elapsedMs() / 1_000).toFixed(1).padStart(5)} s] ${text}`);
}
