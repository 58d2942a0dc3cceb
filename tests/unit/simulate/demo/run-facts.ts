import type { BatchState, ChatFacts, RowFacts, RunFacts } from '../../../../src/simulate/demo/facts.ts';

export function row(index: number, changes: Partial<RowFacts> = {}): RowFacts {
  const base = { index, id: `T-10000${index}`, waitMs: 2_000, attempts: 1 };
  return { ...base, status: 'completed', textIsRight: true, ...changes };
}

export function chat(index: number, changes: Partial<ChatFacts> = {}): ChatFacts {
  const base = { index, error: null, metSleepingPool: index === 0, ttftMs: 300, waitMs: 100 };
  return { ...base, outcome: 'completed', textIsRight: true, ...changes };
}

export function batch(changes: Partial<BatchState> = {}): BatchState {
  return {
    id: 'batch_1',
    status: 'completed',
    total: 3,
    completed: 3,
    failed: 0,
    rowsPerSecond: null,
    etaMs: null,
    hold: null,
    outputFileId: 'file-1',
    errorFileId: null,
    why: null,
    ...changes,
  };
}

/** Three rows and two chats, all as promised. */
export function goodRun(changes: Partial<RunFacts> = {}): RunFacts {
  return {
    plannedRows: 3,
    batch: batch(),
    batchesMade: 1,
    rows: [row(0), row(1), row(2)],
    lines: { read: 3, repeated: 0, strange: 0, outOfOrder: 0 },
    plannedChats: 2,
    chats: [chat(0), chat(1)],
    settled: { completedRows: 3, chats: 2 },
    serverDeaths: 0,
    poolIsAtZero: true,
    ...changes,
  };
}
