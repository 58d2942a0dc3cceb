import type { RedisClient } from '../../../platform/redis/connection.ts';
import { DelayedError, type Job, type RedisConnection, WaitingError, Worker } from 'bullmq';
import { asError } from '../../../core/errors.ts';
import type { Logger } from '../../../core/logger.ts';
import type { ClaimHandler, ClaimVerdict, IntakeQueue } from '../../backlog/ports.ts';
import { backendOver, type FetchGate } from './shared-backend.ts';
import { Wake } from './wake.ts';

/** What a job carries through Redis; one letter each, because a backlog has hundreds of thousands. */
export interface JobPointer {
  /** Accept reference. */
  readonly a: string;
  /** Cost in tokens. */
  readonly c: number;
  /** Virtual time that its tag stands for. */
  readonly s?: number;
}

export interface IntakeWorkerOptions {
  readonly client: RedisClient;
  readonly connection: RedisConnection;
  /** BullMQ's key prefix. */
  readonly prefix: string;
  readonly lockMs: number;
  readonly log: Logger;
}

/** When a verdict could not be told to Redis the lock runs out and the job comes back by itself. */
const RUN_RETRY_MS = 500;
const UNHANDLED_DELAY_MS = 1_000;
/** Only reached when a completion could not be told: the job is then claimed once more and found done. */
const RETRYING = { attempts: 1_000_000, backoff: { type: 'fixed', delay: 1_000 } };
/** Ids of which this process knows that it lost them alive. */
const MAX_SURVIVED = 10_000;

/** One Worker: claims items of one objective while its window is open. Created when the window first opens. */
export class IntakeWorker implements IntakeQueue {
  readonly objective: string;
  readonly #options: IntakeWorkerOptions;
  readonly #handler: ClaimHandler;
  readonly #gate: FetchGate & { isOpen: boolean } = { isOpen: false, wake: new Wake() };
  #worker: Worker<JobPointer> | null = null;
  #window = 0;
  #held = 0;
  #applying: Promise<void> = Promise.resolve();
  /** Hand-backs that Redis did not hear, by id: BullMQ counts them as crashes, but we are still here. */
  readonly #survived = new Map<string, number>();

  constructor(objective: string, handler: ClaimHandler, options: IntakeWorkerOptions) {
    this.objective = objective;
    this.#handler = handler;
    this.#options = options;
  }

  get held(): number {
    return this.#held;
  }

  /** There may be something to claim. */
  wake(): void {
    this.#gate.wake.fire();
  }

  setWindow(window: number): void {
    const hasRaised = window > this.#window;
    this.#window = window;
    this.#gate.isOpen = window > 0;
    if (window > 0) {
      this.#worker ??= this.#createWorker();
      this.#worker.concurrency = window;
    }
    this.#applying = this.#applying.then(() => this.#apply(hasRaised)).catch((error: unknown) => this.#report(error));
  }

  async close(): Promise<void> {
    this.setWindow(0);
    await this.#applying;
    await this.#worker?.close();
  }

  /**
   * A raised `concurrency` is looked at only when a job ends, or after `pause(true)` and `resume()`. A main loop that
   * has ended (paused with nothing held) is started again by `resume()`.
   */
  async #apply(hasRaised: boolean): Promise<void> {
    const worker = this.#worker;
    if (!worker) return;
    if (this.#window === 0) {
      await worker.pause(true);
      this.wake();
      return;
    }
    if (hasRaised && worker.isRunning() && !worker.isPaused()) await worker.pause(true);
    if (worker.isPaused() || !worker.isRunning()) await worker.resume();
    this.wake();
  }

  #createWorker(): Worker<JobPointer> {
    const { client, connection, prefix, lockMs } = this.#options;
    const worker = new Worker<JobPointer>(
      this.objective,
      (job, token) => this.#process(job, token ?? ''),
      {
        connection: client,
        prefix,
        autorun: false,
        lockDuration: lockMs,
        skipStalledCheck: true,
        runRetryDelay: RUN_RETRY_MS,
        removeOnComplete: { count: 0 },
      },
      backendOver(connection, this.#gate),
    );
    worker.on('error', (error) => this.#report(error));
    return worker;
  }

  async #process(job: Job<JobPointer>, token: string): Promise<void> {
    this.#held += 1;
    // BullMQ asks the job when it fails; 80 bytes each if they were kept with it.
    Object.assign(job.opts, RETRYING);
    try {
      const verdict = await this.#decide(job);
      if (verdict.kind === 'returned') await this.#tell(job.id, job.moveToWait(token), new WaitingError());
      if (verdict.kind === 'delayed') {
        await this.#tell(job.id, job.moveToDelayed(Date.now() + verdict.delayMs, token), new DelayedError());
      }
    } finally {
      this.#held -= 1;
    }
  }

  async #decide(job: Job<JobPointer>): Promise<ClaimVerdict> {
    const data = job.data as Partial<JobPointer> | undefined;
    // A hash that Redis lost in part; reconcile adds the job again.
    if (job.id === undefined) return { kind: 'finished' };
    try {
      return await this.#handler({
        id: job.id,
        objective: this.objective,
        acceptRef: typeof data?.a === 'string' ? data.a : '',
        ...(typeof data?.s === 'number' && { start: data.s }),
        claims: job.attemptsStarted,
        crashes: Math.max(0, job.stalledCounter - (this.#survived.get(job.id) ?? 0)),
      });
    } catch (error) {
      this.#report(error);
      return { kind: 'delayed', delayMs: UNHANDLED_DELAY_MS };
    }
  }

  /** Throws what makes BullMQ leave the job where it was moved to; also when Redis did not hear the move. */
  async #tell(id: string | undefined, move: Promise<unknown>, sentinel: Error): Promise<never> {
    await move.catch((error: unknown) => {
      this.#report(error);
      if (id !== undefined) this.#survive(id);
    });
    throw sentinel;
  }

  #survive(id: string): void {
    this.#survived.set(id, (this.#survived.get(id) ?? 0) + 1);
    const [oldest] = this.#survived.keys();
    if (this.#survived.size > MAX_SURVIVED && oldest !== undefined) this.#survived.delete(oldest);
  }

  #report(thrown: unknown): void {
    const { name, message } = asError(thrown);
    this.#options.log.warn({ objective: this.objective, error: name, problem: message }, 'intake.worker_failed');
  }
}
