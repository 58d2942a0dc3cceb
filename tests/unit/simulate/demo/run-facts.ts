import type { ChatFacts, JobFacts, RunFacts } from '../../../../src/simulate/demo/facts.ts';

export function job(index: number, changes: Partial<JobFacts> = {}): JobFacts {
  const base = { index, id: `job-${index}`, acceptedAtEpochMs: 1_000, waitMs: 2_000 };
  return { ...base, status: 'completed', textIsRight: true, ...changes };
}

export function chat(index: number, changes: Partial<ChatFacts> = {}): ChatFacts {
  const base = { index, error: null, metSleepingPool: index === 0, ttftMs: 300, waitMs: 100 };
  return { ...base, outcome: 'completed', textIsRight: true, ...changes };
}

/** Three jobs and two chats, all as promised. */
export function goodRun(changes: Partial<RunFacts> = {}): RunFacts {
  return {
    plannedJobs: 3,
    jobs: [job(0), job(1), job(2)],
    unansweredSubmissions: 0,
    plannedChats: 2,
    chats: [chat(0), chat(1)],
    resultIds: ['job-0', 'job-1', 'job-2'],
    settled: { jobs: 3, chats: 2 },
    serverDeaths: 0,
    poolIsAtZero: true,
    ...changes,
  };
}
