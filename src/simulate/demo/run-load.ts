import { asError } from '../../core/errors.ts';
import { formatDuration } from '../../core/units.ts';
import type { ProgressView } from './adapters/progress-view.ts';
import type { ServeProcess } from './adapters/serve-process.ts';
import type { Board } from './board.ts';
import { collectRows } from './collect-rows.ts';
import type { BatchState, RunFacts } from './facts.ts';
import { countBatches, followBatch } from './follow-batch.ts';
import { frameOf } from './frame.ts';
import { OBJECTIVES } from './names.ts';
import { completedCount, settledCount } from './server-lives.ts';
import type { Session } from './session.ts';
import { streamChats } from './stream-chats.ts';
import { submitBatch } from './submit-batch.ts';
import { look, watchStatus } from './watch-status.ts';
import type { Workload } from './workload.ts';

export interface BatchPaths {
  readonly input: string;
  readonly output: string;
  readonly errors: string;
}

export interface LoadRun {
  readonly session: Session;
  readonly workload: Workload;
  readonly board: Board;
  readonly view: ProgressView;
  readonly server: ServeProcess;
  readonly paths: BatchPaths;
  /** When the batch should be done, from its submission. */
  readonly rowsDueInMs: number;
  /** Null = the server is left alone. */
  readonly killServerAfterMs: number | null;
  /** Ends the session with this error. */
  readonly fail: (error: Error) => void;
}

type CollectedFacts = Pick<RunFacts, 'rows' | 'lines' | 'batchesMade'>;

const POLL_MS = 100;
/** For the pool to go back to zero once nothing is left to do: keep-warm, drain, and the end of the processes. */
const ZERO_WITHIN_MS = 90_000;
/** Chats whose waiting is told comment by comment. */
const NARRATED_CHATS = 2;

/** Sends the whole load, waits until everything is over and the pool is at zero again, and tells what happened. */
export async function runLoad(run: LoadRun): Promise<RunFacts> {
  const over = new AbortController();
  const beside = Promise.all([watch(run, over.signal), killOnTime(run, over.signal)]);
  try {
    await Promise.all([failing(run, chat(run)), failing(run, submit(run))]);
    const collected = await collect(run);
    const poolIsAtZero = await goToZero(run);
    // The counts of the last look may be older than the last outcome.
    await look(run.session, run.board);
    return { ...factsOf(run), ...collected, poolIsAtZero };
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
  const planned = { rows: workload.rows.length, chats: workload.chats.length };
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

async function submit({ session, workload, board, view, paths, rowsDueInMs }: LoadRun): Promise<void> {
  const [first] = workload.rows;
  if (first === undefined) return;
  await session.until(first.atMs);
  say({ session, view }, `one file with ${rowsOf(workload)} comes in: POST /v1/files, then POST /v1/batches`);
  board.accepted = await submitBatch(
    session,
    { path: paths.input, dueInMs: rowsDueInMs },
    {
      uploaded: (fileId) => say({ session, view }, `the file is stored as ${fileId}`),
      refused: () => (board.refusals.rows += 1),
    },
  );
  say(
    { session, view },
    `batch ${board.accepted.id} is accepted: objective ${OBJECTIVES.nightly.name}, due in ${formatDuration(rowsDueInMs)}`,
  );
  let status = '';
  const told = (state: BatchState) => {
    board.batch = state;
    const news = NEWS[state.status]?.(state);
    if (state.status !== status && news !== undefined) say({ session, view }, news);
    status = state.status;
  };
  const last = await followBatch(session, board.accepted.id, told);
  if (last === null) say({ session, view }, `the server does not know batch ${board.accepted.id} any more`);
}

/** By status; of the others nothing is said. */
const NEWS: Readonly<Record<string, (state: BatchState) => string>> = {
  in_progress: ({ total }) => `batch: its ${counted(total, 'row')} are valid; they run as slots come free`,
  finalizing: () => 'batch: every row has ended; output and error file are put together, in the order of the input',
  completed: ({ completed, failed }) =>
    `batch: completed, ${completed} rows in the output file, ${failed} in the error file`,
  failed: ({ why }) => `batch: its file did not validate: ${why ?? 'no reason was given'}`,
  expired: () => 'batch: its window is over',
};

function rowsOf({ rows }: Workload): string {
  return counted(rows.length, 'ticket');
}

function counted(count: number, what: string): string {
  return `${count.toLocaleString('en-US')} ${what}${count === 1 ? '' : 's'}`;
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

async function collect({ session, workload, board, view, paths }: LoadRun): Promise<CollectedFacts> {
  const { accepted: batch, batch: state } = board;
  if (batch === null) return { rows: [], lines: { read: 0, repeated: 0, strange: 0, outOfOrder: 0 }, batchesMade: 0 };
  say({ session, view }, 'its files are downloaded, and each line is held against its row');
  const collected = await collectRows({ session, planned: workload.rows, batch, state, paths });
  return { ...collected, batchesMade: await countBatches(session) };
}

async function goToZero({ session, board, view }: LoadRun): Promise<boolean> {
  const untilMs = session.elapsedMs() + ZERO_WITHIN_MS;
  if (!board.isAtZero) say({ session, view }, 'nothing is left to do; the pool is kept warm a little and then ends');
  while (!board.isAtZero && session.elapsedMs() < untilMs) await session.clock.sleep(POLL_MS, session.signal);
  if (board.isAtZero) say({ session, view }, 'the pool is at zero again');
  return board.isAtZero;
}

function factsOf({ workload, board, server }: LoadRun): Omit<RunFacts, keyof CollectedFacts | 'poolIsAtZero'> {
  return {
    plannedRows: workload.rows.length,
    plannedChats: workload.chats.length,
    batch: board.batch,
    chats: board.chats,
    settled: {
      completedRows: completedCount(board.lives, OBJECTIVES.nightly.name),
      chats: settledCount(board.lives, OBJECTIVES.interactive.name),
    },
    serverDeaths: server.deaths,
  };
}

/** A line with the time of the run in front. */
function say({ session, view }: Pick<LoadRun, 'session' | 'view'>, text: string): void {
  view.say(`[${(session.elapsedMs() / 1_000).toFixed(1).padStart(5)} s] ${text}`);
}
