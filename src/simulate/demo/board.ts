import type { ObjectiveReport, PoolReport, StatusReport } from '../../core/status.ts';
import type { AcceptedBatch, BatchState, ChatFacts } from './facts.ts';
import { POOL } from './names.ts';
import { type PodSample, podSample } from './pod-timeline.ts';
import { noteLife, type ServerLives } from './server-lives.ts';

/** When the pool woke for the first time; epoch milliseconds. */
export interface FirstWake {
  readonly requestedAtEpochMs: number;
  readonly readyAtEpochMs: number;
}

/** Everything that one run has seen so far. */
export class Board {
  readonly chats: ChatFacts[] = [];
  readonly samples: PodSample[] = [];
  readonly refusals = { rows: 0, chats: 0 };
  accepted: AcceptedBatch | null = null;
  /** As last told; null before that. */
  batch: BatchState | null = null;
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

  /** Rows that have an outcome, as far as the server tells. */
  get endedRows(): number {
    return this.batch === null ? 0 : this.batch.completed + this.batch.failed;
  }

  get isAtZero(): boolean {
    return this.pool !== null && this.pool.replicas.length === 0 && this.pool.desiredReplicas === 0;
  }

  get hasReadyReplica(): boolean {
    return this.pool?.replicas.some(({ phase }) => phase === 'Ready') ?? false;
  }

  /** How long nothing has moved: no row, no chat, no replica. */
  stalledMs(nowMs: number): number {
    const replicas = this.pool?.replicas.map(({ uid, phase }) => `${uid} ${phase}`).join(',') ?? '';
    const { batch, chats, endedRows, refusals } = this;
    const mark = [batch?.status, endedRows, chats.length, refusals.rows, replicas].join(' ');
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
