import type { ObjectiveReport, PoolReport, StatusReport } from '../../core/status.ts';
import type { AcceptedJob, ChatFacts, JobFacts } from './facts.ts';
import { OBJECTIVES, POOL } from './names.ts';
import { type PodSample, podSample } from './pod-timeline.ts';
import { noteLife, type ServerLives } from './server-lives.ts';

/** When the pool woke for the first time; epoch milliseconds. */
export interface FirstWake {
  readonly requestedAtEpochMs: number;
  readonly readyAtEpochMs: number;
}

/** Everything that one run has seen so far. */
export class Board {
  readonly accepted: AcceptedJob[] = [];
  readonly chats: ChatFacts[] = [];
  readonly collected: JobFacts[] = [];
  readonly samples: PodSample[] = [];
  readonly refusals = { jobs: 0, chats: 0 };
  unansweredSubmissions = 0;
  /** No job will be submitted any more. */
  allSubmitted = false;
  pool: PoolReport | null = null;
  lives: ServerLives = new Map();
  wake: FirstWake | null = null;
  #progressMark = '';
  #progressAtMs = 0;

  /** Takes in what GET /status told at that moment of the run. */
  note(report: StatusReport, atMs: number): void {
    const pool = report.pools.find((candidate) => candidate.pool.endsWith(`/${POOL}`));
    if (pool === undefined || !report.redis.reachable) return;
    this.pool = pool;
    this.lives = noteLife(this.lives, report, pool);
    this.samples.push(podSample(atMs, pool.replicas));
    this.#noteWake(pool);
  }

  /** Nothing serves, so no replica lives: they end with the process that started them. */
  noteDeath(): void {
    this.pool = null;
    this.samples.push(podSample(this.samples.at(-1)?.atMs ?? 0, []));
  }

  objective(name: string): ObjectiveReport | null {
    return this.pool?.objectives.find(({ objective }) => objective === name) ?? null;
  }

  /** Accepted jobs that have an outcome, as far as the server tells. */
  get settledJobs(): number {
    const report = this.objective(OBJECTIVES.nightly.name);
    return report === null ? this.collected.length : Math.max(0, this.accepted.length - report.stored);
  }

  /** Every job is in and none is without an outcome, as far as the server tells. */
  get allJobsSettled(): boolean {
    return this.allSubmitted && this.objective(OBJECTIVES.nightly.name)?.stored === 0;
  }

  get isAtZero(): boolean {
    return this.pool !== null && this.pool.replicas.length === 0 && this.pool.desiredReplicas === 0;
  }

  get hasReadyReplica(): boolean {
    return this.pool?.replicas.some(({ phase }) => phase === 'Ready') ?? false;
  }

  /** How long nothing has moved: no job, no chat, no replica. */
  stalledMs(nowMs: number): number {
    const replicas = this.pool?.replicas.map(({ uid, phase }) => `${uid} ${phase}`).join(',') ?? '';
    const counts = [this.accepted, this.chats, this.collected].map(({ length }) => length);
    const mark = [this.settledJobs, ...counts, this.refusals.jobs, replicas].join(' ');
    if (mark !== this.#progressMark) {
      this.#progressMark = mark;
      this.#progressAtMs = nowMs;
    }
    return nowMs - this.#progressAtMs;
  }

  #noteWake({ replicas }: PoolReport): void {
    const [first] = replicas.filter(({ readyAtEpochMs }) => readyAtEpochMs !== null);
    if (this.wake !== null || first?.readyAtEpochMs == null) return;
    this.wake = { requestedAtEpochMs: first.requestedAtEpochMs, readyAtEpochMs: first.readyAtEpochMs };
  }
}
