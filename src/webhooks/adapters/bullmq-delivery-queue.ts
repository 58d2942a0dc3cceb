import type { RedisClient } from '../../platform/redis/connection.ts';
import { type BackendFactory, DelayedError, type Job, Queue, type RedisQueueBackend, Worker } from 'bullmq';
import { asError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import type { DeliveryHandler, DeliveryPointer, DeliveryQueue, DeliveryVerdict } from '../ports.ts';

/** Over the process's shared connection: what BullMQ's queues and Workers speak through, and when it fetches. */
export interface SharedFetch {
  readonly backend: BackendFactory<RedisQueueBackend>;
  readonly gate: { isOpen: boolean; readonly wake: { fire(): void } };
}

export interface BullmqDeliveryQueueOptions {
  readonly client: RedisClient;
  readonly fetch: SharedFetch;
  /** BullMQ's key prefix, with a hash tag. */
  readonly prefix: string;
  readonly log: Logger;
  /** How long a pointer of a silent process stays with it. Default 30 s; renewed at half of it. */
  readonly lockMs?: number;
  /** How often such pointers are looked for. Default 10 s. */
  readonly stallPassMs?: number;
}

const LOCK_MS = 30_000;
const STALL_PASS_MS = 10_000;
/** A delivery survives any number of crashes: it is no code that runs here. */
const MAX_STALLED_COUNT = 1_000_000_000;
const UNHANDLED_DELAY_MS = 5_000;
const RUN_RETRY_MS = 500;
const EVENTS_KEPT = 100;
/** Only reached when a completion could not be told. */
const ATTEMPTS = 1_000_000;

/** One BullMQ queue for all deliveries; a job is a pointer of some 40 bytes, and its delay is the schedule. */
export class BullmqDeliveryQueue implements DeliveryQueue {
  readonly #options: BullmqDeliveryQueueOptions;
  readonly #queue: Queue<DeliveryPointer>;
  #worker: Worker<DeliveryPointer> | null = null;

  constructor(options: BullmqDeliveryQueueOptions) {
    this.#options = options;
    const { client, prefix, fetch } = options;
    this.#queue = new Queue<DeliveryPointer>(
      'deliveries',
      { connection: client, prefix, streams: { events: { maxLen: EVENTS_KEPT } } },
      fetch.backend,
    );
    this.#queue.on('error', (error) => this.#report(error));
  }

  async push(pointer: DeliveryPointer): Promise<void> {
    await this.#queue.add('delivery', pointer, {
      jobId: `${pointer.id}-${pointer.round}`,
      removeOnComplete: true,
      attempts: ATTEMPTS,
      backoff: UNHANDLED_DELAY_MS,
    });
    this.#options.fetch.gate.wake.fire();
  }

  work(concurrency: number, handler: DeliveryHandler): void {
    const { client, prefix, fetch, lockMs = LOCK_MS, stallPassMs = STALL_PASS_MS } = this.#options;
    fetch.gate.isOpen = true;
    this.#worker ??= new Worker<DeliveryPointer>(
      'deliveries',
      (job, token) => this.#process(job, token ?? '', handler),
      {
        connection: client,
        prefix,
        concurrency,
        lockDuration: lockMs,
        stalledInterval: stallPassMs,
        maxStalledCount: MAX_STALLED_COUNT,
        runRetryDelay: RUN_RETRY_MS,
        removeOnComplete: { count: 0 },
      },
      fetch.backend,
    );
    this.#worker.on('error', (error) => this.#report(error));
  }

  async close(): Promise<void> {
    this.#options.fetch.gate.isOpen = false;
    this.#options.fetch.gate.wake.fire();
    await this.#worker?.close();
    await this.#queue.close();
  }

  async #process(job: Job<DeliveryPointer>, token: string, handler: DeliveryHandler): Promise<void> {
    const verdict = await this.#verdict(job, handler);
    if (verdict.kind === 'done') return;
    // When Redis did not hear it, the lock runs out and the job comes back by itself.
    await job.moveToDelayed(Date.now() + verdict.delayMs, token).catch((error: unknown) => this.#report(error));
    throw new DelayedError();
  }

  async #verdict({ data }: Job<DeliveryPointer>, handler: DeliveryHandler): Promise<DeliveryVerdict> {
    // A hash that Redis lost in part.
    const known = data as Partial<DeliveryPointer> | undefined;
    if (typeof known?.id !== 'string' || typeof known.round !== 'number') return { kind: 'done' };
    try {
      return await handler({ id: known.id, round: known.round });
    } catch (error) {
      this.#report(error);
      return { kind: 'again', delayMs: UNHANDLED_DELAY_MS };
    }
  }

  #report(thrown: unknown): void {
    const { name, message } = asError(thrown);
    this.#options.log.warn({ error: name, problem: message }, 'webhook.queue_failed');
  }
}
