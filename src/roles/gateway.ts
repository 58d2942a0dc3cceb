import { formatProblem } from '../config/problem.ts';
import { OpenCalls } from '../ingress/open-calls.ts';
import { systemClock } from '../platform/clock.ts';
import { type HttpServer } from '../platform/http/server.ts';
import { createRegistry } from '../platform/metrics.ts';
import type { StoredWork } from '../queue/jobs/stored-work.ts';
import { openEngine } from './engine.ts';
import { openListeners } from './listeners.ts';
import type { ProcessOptions } from './process-options.ts';
import { StatusBoard } from './status-board.ts';
import { openStoredWork } from './stored-work.ts';

export interface OpenGateway {
  readonly apiUrl: string;
  readonly adminUrl: string;
  readonly models: readonly string[];
}

/** For errors to reach clients before their connections are cut. */
const LAST_WORDS_MS = 2_000;

/** Builds every role of one process and opens its listeners. Throws a PilotlightError for what a user can mend. */
export async function openGateway(options: ProcessOptions): Promise<OpenGateway> {
  const { config, catalogSource, closers, version } = options;
  const registry = createRegistry({ version, role: 'all' });
  const engine = await openEngine(options, registry);
  const { pools, autoscaler, tally, advisor } = engine;
  const stored = openStoredWork(options, engine, registry);
  pools.follow(stored);
  await autoscaler.start();
  closers.add('autoscaler', () => autoscaler.stop());

  const board = new StatusBoard({
    version,
    installation: config.installation,
    catalog: catalogSource,
    objectProblems: () => catalogSource.problems().map(formatProblem),
    pools,
    autoscaler,
    tally,
    redis: options.redis,
    clock: systemClock,
  });
  const openCalls = new OpenCalls();
  const needs = { registry, board, runner: tally, jobs: tally.countingRefusals(stored.jobs), advisor, openCalls };
  const { api, admin } = await openListeners(options, needs);
  stored.start();
  closers.add('work in progress', () => finishWork({ api, stored, openCalls, drainMs: config.timeouts.drainMs }));
  board.setReadiness({ kind: 'ready' });
  closers.add('readiness', () => board.setReadiness({ kind: 'draining', reason: 'the process is stopping' }));
  const models = catalogSource.current().models();
  return { apiUrl: api.url, adminUrl: admin.url, models: models.map(({ name }) => name) };
}

interface WorkInProgress {
  readonly api: HttpServer;
  readonly stored: StoredWork;
  readonly openCalls: OpenCalls;
  readonly drainMs: number;
}

/** Calls and jobs are given the same time to finish; a call that needs longer still gets an error, not a cut connection. */
async function finishWork({ api, stored, openCalls, drainMs }: WorkInProgress): Promise<void> {
  const patience = setTimeout(() => openCalls.endAll(), drainMs);
  try {
    await Promise.all([api.close(drainMs + LAST_WORDS_MS), stored.stop(drainMs)]);
  } finally {
    clearTimeout(patience);
  }
}
