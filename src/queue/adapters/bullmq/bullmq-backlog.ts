import { type Job, Queue, type RedisConnection } from 'bullmq';
import { asError } from '../../../core/errors.ts';
import { tagOf } from '../../../core/fair-tag.ts';
import type { Logger } from '../../../core/logger.ts';
import type { PoolKey } from '../../../core/objects.ts';
import { type RedisClient, redisFailure } from '../../../platform/redis/connection.ts';
import type { BacklogCounts } from '../../../core/queues.ts';
import type {
  AddAnswer,
  Backlog,
  BacklogItem,
  BacklogPlace,
  BacklogView,
  ClaimHandler,
  IntakeQueue,
} from '../../backlog/ports.ts';
import type { RedisChannels } from '../job-index/channels.ts';
import { IntakeWorker, type JobPointer } from './intake-worker.ts';
import { backendOver } from './shared-backend.ts';
import { Wake } from './wake.ts';

export interface BullmqBacklogOptions {
  readonly pool: PoolKey;
  /** "<prefix>:{<installation>/<namespace>/<pool>}": the root of all keys of the pool, its hash tag included. */
  readonly root: string;
  readonly client: RedisClient;
  /** Over the same client; see `shareConnection`. */
  readonly connection: RedisConnection;
  readonly channels: RedisChannels;
  readonly log: Logger;
  /** Names its keys: "<root>:<kind>". Default "backlog"; the chunks of batches have one of their own. */
  readonly kind?: string;
  /** How long a claim of a silent process stands. Default 5 s; renewed at half of it. */
  readonly lockMs?: number;
  /** At most one stall pass in this time, over all processes. Default 2 s. */
  readonly stallPassMs?: number;
}

/**
 * Lock and stall pass bound the time until a dead process's jobs are back: lock + 2 × pass = 9 s. The lock is only the
 * backlog's claim; the execution lease is the ticket in the live order, whose heartbeat is shorter.
 */
const LOCK_MS = 5_000;
const STALL_PASS_MS = 2_000;
/** Crashes are judged by us (policy/backlog/claim.ts): at a limit of its own BullMQ would fail a job unrun. */
const MAX_STALLED_COUNT = 1_000_000_000;
/** Events cannot be turned off; we read none of them. */
const EVENTS_KEPT = 100;
/** BullMQ's score of a delayed job: its time, with twelve bits for the order of those of one millisecond. */
const DELAY_SCORE_PER_MS = 0x1000;
/** Other processes are woken at most this often for one objective. */
const ANNOUNCE_EVERY_MS = 20;

/** Items whose tags are changed together. */
const RETAG_PAGE = 500;

interface Lane {
  readonly queue: Queue<JobPointer>;
  isRegistered: boolean;
  announceTimer: NodeJS.Timeout | null;
  announceAgain: boolean;
}

/** The backlog of one pool in BullMQ: one queue per objective, named after it, under "<root>:backlog". */
export class BullmqBacklog implements Backlog, BacklogView {
  readonly pool: PoolKey;
  readonly #options: BullmqBacklogOptions;
  readonly #prefix: string;
  readonly #objectivesKey: string;
  readonly #channel: string;
  readonly #lanes = new Map<string, Lane>();
  readonly #intakes = new Map<string, IntakeWorker>();
  readonly #stopListening: () => void;

  constructor(options: BullmqBacklogOptions) {
    this.pool = options.pool;
    this.#options = options;
    this.#prefix = `${options.root}:${options.kind ?? 'backlog'}`;
    this.#objectivesKey = `${this.#prefix}-objectives`;
    this.#channel = `${this.#prefix}-wake`;
    this.#stopListening = options.channels.listen(this.#channel, (objective) => this.#intakes.get(objective)?.wake());
  }

  async add(item: BacklogItem): Promise<AddAnswer> {
    try {
      const lane = this.#lane(item.objective);
      if (!lane.isRegistered) await this.#register(item.objective, lane);
      const start = item.start === undefined ? {} : { s: Math.floor(item.start) };
      const pointer: JobPointer = { a: item.acceptRef, c: item.costTokens, ...start };
      // No more options: they are kept with each job, and what all jobs have in common the worker knows.
      await lane.queue.add('job', pointer, { jobId: item.id, priority: item.tag });
      this.#intakes.get(item.objective)?.wake();
      this.#announce(item.objective, lane);
      return { kind: 'added' };
    } catch (error) {
      const why = asError(error).message;
      return redisFailure(error) === 'unknown' ? { kind: 'unknown', why } : { kind: 'refused', why };
    }
  }

  async remove(id: string, objective: string): Promise<void> {
    await this.#lane(objective)
      .queue.remove(id, { removeChildren: false })
      .catch((error: unknown) => {
        this.#options.log.debug({ jobId: id, problem: asError(error).message }, 'backlog.remove_failed');
      });
  }

  async isHeld(id: string, objective: string): Promise<boolean> {
    return (await this.#lane(objective).queue.getJobState(id)) === 'active';
  }

  async counts(objective: string): Promise<BacklogCounts> {
    const { queue } = this.#lane(objective);
    const [counts, isPaused] = await Promise.all([
      queue.getJobCounts('waiting', 'prioritized', 'delayed', 'active', 'failed'),
      queue.isPaused(),
    ]);
    const { waiting = 0, prioritized = 0, delayed = 0, active = 0, failed = 0 } = counts;
    return { waiting: waiting + prioritized, delayed, active, failed, isPaused };
  }

  async placeOf(id: string, objective: string): Promise<BacklogPlace> {
    const { queue } = this.#lane(objective);
    const state = await queue.getJobState(id);
    if (state === 'active') return { kind: 'held' };
    if (state === 'delayed') {
      const score = await this.#options.client.zscore(queue.toKey('delayed'), id);
      // Promoted meanwhile.
      if (score === null) return { kind: 'waiting' };
      return { kind: 'delayed', untilEpochMs: Math.floor(Number(score) / DELAY_SCORE_PER_MS) };
    }
    return { kind: state === 'waiting' || state === 'prioritized' ? 'waiting' : 'absent' };
  }

  async objectives(): Promise<readonly string[]> {
    return this.#options.client.smembers(this.#objectivesKey);
  }

  intake(objective: string, handler: ClaimHandler): IntakeQueue {
    const { client, connection, log, lockMs = LOCK_MS } = this.#options;
    const intake = new IntakeWorker(objective, handler, { client, connection, prefix: this.#prefix, lockMs, log });
    this.#intakes.set(objective, intake);
    return intake;
  }

  async recoverStalled(objective: string): Promise<readonly string[]> {
    const recovered = await this.#lane(objective).queue.getBackend().moveStalledJobsToWait();
    if (recovered.length > 0) this.#intakes.get(objective)?.wake();
    return recovered;
  }

  /**
   * Gives every item that has a start the tag that it has from this base on, lowest first, so that their order stays. Asks
   * before each page whether to go on. Returns how many tags changed; items that are taken meanwhile may make it miss some.
   */
  async retag(objective: string, base: number, mayGoOn: () => Promise<boolean>): Promise<number> {
    const { queue } = this.#lane(objective);
    let changed = 0;
    for (const state of ['prioritized', 'delayed', 'active'] as const) {
      for (let first = 0; await mayGoOn(); first += RETAG_PAGE) {
        const jobs = await queue.getJobs([state], first, first + RETAG_PAGE - 1, true);
        if (jobs.length === 0) break;
        const changes = jobs.map((job) => retagged(job, base));
        changed += (await Promise.all(changes)).filter(Boolean).length;
      }
    }
    return changed;
  }

  async restore(): Promise<void> {
    for (const [objective, lane] of this.#lanes) {
      await lane.queue.getBackend().setQueueMeta(lane.queue.metaValues);
      await this.#register(objective, lane);
    }
  }

  async close(): Promise<void> {
    this.#stopListening();
    await Promise.all([...this.#intakes.values()].map((intake) => intake.close()));
    for (const lane of this.#lanes.values()) {
      if (lane.announceTimer) clearTimeout(lane.announceTimer);
      await lane.queue.close();
    }
  }

  #lane(objective: string): Lane {
    const known = this.#lanes.get(objective);
    if (known) return known;
    const { client, connection, log, stallPassMs = STALL_PASS_MS } = this.#options;
    const neverFetches = { isOpen: false, wake: new Wake() };
    // BullMQ types these two as Worker options, but the stall pass reads them from its backend's options.
    const stallPass = { stalledInterval: stallPassMs, maxStalledCount: MAX_STALLED_COUNT };
    const queue = new Queue<JobPointer>(
      objective,
      { connection: client, prefix: this.#prefix, streams: { events: { maxLen: EVENTS_KEPT } }, ...stallPass },
      backendOver(connection, neverFetches),
    );
    queue.on('error', (error) => log.warn({ objective, problem: error.message }, 'backlog.queue_failed'));
    const lane: Lane = { queue, isRegistered: false, announceTimer: null, announceAgain: false };
    this.#lanes.set(objective, lane);
    return lane;
  }

  async #register(objective: string, lane: Lane): Promise<void> {
    await this.#options.client.sadd(this.#objectivesKey, objective);
    lane.isRegistered = true;
  }

  /** Tells other processes; their idle tick covers what a lost message would have told. */
  #announce(objective: string, lane: Lane): void {
    if (lane.announceTimer) {
      lane.announceAgain = true;
      return;
    }
    lane.announceAgain = false;
    this.#options.client.publish(this.#channel, objective).catch(() => undefined);
    lane.announceTimer = setTimeout(() => {
      lane.announceTimer = null;
      if (lane.announceAgain) this.#announce(objective, lane);
    }, ANNOUNCE_EVERY_MS).unref();
  }
}

async function retagged(job: Job<JobPointer> | undefined, base: number): Promise<boolean> {
  // A page may have holes: jobs that went between the list and their fetch.
  const start = (job?.data as Partial<JobPointer> | undefined)?.s;
  if (!job || start === undefined) return false;
  const priority = tagOf(start, base);
  if (priority === job.priority) return false;
  await job.changePriority({ priority }).catch(() => undefined);
  return true;
}
