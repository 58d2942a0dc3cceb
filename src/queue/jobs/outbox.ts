import type { Clock } from '../../core/clock.ts';
import { asError } from '../../core/errors.ts';
import type { JobAnnouncement, JobEndListener } from '../../core/jobs.ts';
import type { Logger } from '../../core/logger.ts';
import { finishedView } from '../policy/backlog/job-view.ts';
import type { JobMeter } from './job-meter.ts';
import type { JobHints, JobIndex, JobLane, JobStore } from './ports.ts';

/** Which process announces which end, so that several share the work. Failures of Redis throw as they come. */
export interface OutboxClaims {
  /** Those of the ids that nobody had claimed; they are ours for `ttlMs`. */
  claim(ids: readonly string[], ttlMs: number): Promise<ReadonlySet<string>>;
  /** Nobody may claim this id for so long. */
  defer(id: string, forMs: number): Promise<void>;
}

export type AnnouncementKind = JobAnnouncement['kind'];

export interface OutboxDeps {
  readonly store: JobStore;
  readonly index: JobIndex;
  readonly hints: JobHints;
  readonly claims: OutboxClaims;
  /** Undefined: this process announces nothing of that kind. */
  readonly listenerOf: (kind: AnnouncementKind) => JobEndListener | undefined;
  /** While the index is being rebuilt, an id it does not know may still exist. */
  readonly isReconciling: () => boolean;
  readonly retentionMs: number;
  readonly meter: JobMeter;
  readonly clock: Clock;
  readonly log: Logger;
}

const BATCH = 256;
const AT_ONE_TIME = 32;
/** Ends whose announcement fails are read over and over; beyond them there is still a batch of others to be seen. */
const MAX_READ = 4_096;
const IDLE_MS = 1_000;
/** Between two looks, however many hints come: most ends have nobody to tell. */
const GATHER_MS = 100;
const LISTENER_TIMEOUT_MS = 30_000;
const CLAIM_MS = 60_000;
const FIRST_RETRY_MS = 5_000;
const MAX_RETRY_MS = 300_000;
/** After so many, in some half a minute, an id that the index does not know is taken for one past retention. */
const UNKNOWN_TRIES = 3;

/** What another process has claimed is looked at again after this. */
const ELSEWHERE_MS = 5_000;

type Moved = 'done' | 'later';

interface PutOff {
  readonly untilMs: number;
  readonly failures: number;
}

/**
 * Announces the ends of one pool's jobs: reads the ledger's outbox, tells the listener of each announcement, and
 * acknowledges what was taken in. At least once: a process that dies between the two leaves its claims, which run out,
 * and the entry, which the next one finds. An end that nobody takes in is tried again after 5 s, then less and less often, up to
 * every 5 minutes, for as long as its job is kept.
 */
export class OutboxMover {
  readonly #deps: OutboxDeps;
  readonly #lane: JobLane;
  /** Entries that are not ours to announce now. Bounded by what is read. */
  readonly #putOff = new Map<string, PutOff>();
  #wake = new AbortController();

  constructor(deps: OutboxDeps, lane: JobLane) {
    this.#deps = deps;
    this.#lane = lane;
  }

  /** Resolves when aborted, after what is under way. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, hints, log } = this.#deps;
    const unlisten = hints.onHint(() => this.#wake.abort());
    try {
      while (!signal.aborted) {
        this.#wake = new AbortController();
        let hasMore = false;
        try {
          hasMore = await this.#turn(signal);
        } catch (error) {
          log.warn({ pool: this.#lane.ledger.pool, problem: asError(error).message }, 'outbox.read_failed');
        }
        if (hasMore) continue;
        const either = AbortSignal.any([this.#wake.signal, signal]);
        await clock.sleep(IDLE_MS, either).catch(() => undefined);
        await clock.sleep(GATHER_MS, signal).catch(() => undefined);
      }
    } finally {
      unlisten();
    }
  }

  /** Whether there may be more right now. */
  async #turn(signal: AbortSignal): Promise<boolean> {
    const limit = Math.min(BATCH + this.#putOff.size, MAX_READ);
    const entries = await this.#lane.ledger.outbox(limit);
    this.#forgetAllBut(entries);
    let moved = 0;
    for (let at = 0; at < entries.length && !signal.aborted; at += AT_ONE_TIME) {
      // Only what is announced at once is claimed: the rest is for whoever comes by meanwhile.
      const mine = await this.#claim(entries.slice(at, at + AT_ONE_TIME).map(({ id }) => id));
      const ends = await Promise.all(mine.map((id) => this.#move(id)));
      const done = mine.filter((_, place) => ends[place] === 'done');
      if (done.length > 0) await this.#lane.ledger.ackOutbox(done);
      moved += done.length;
    }
    return moved > 0 && entries.length === limit;
  }

  async #claim(ids: readonly string[]): Promise<readonly string[]> {
    const nowMs = this.#deps.clock.monotonicMs();
    const wanted = ids.filter((id) => (this.#putOff.get(id)?.untilMs ?? 0) <= nowMs);
    if (wanted.length === 0) return [];
    const claimed = await this.#deps.claims.claim(wanted, CLAIM_MS);
    for (const id of wanted) if (!claimed.has(id)) this.#wait(id, ELSEWHERE_MS, 0);
    return wanted.filter((id) => claimed.has(id));
  }

  #wait(id: string, forMs: number, moreFailures: number): void {
    const failures = (this.#putOff.get(id)?.failures ?? 0) + moreFailures;
    this.#putOff.set(id, { untilMs: this.#deps.clock.monotonicMs() + forMs, failures });
  }

  async #move(id: string): Promise<Moved> {
    try {
      if ((await this.#announce(id)) === 'done') {
        this.#putOff.delete(id);
        return 'done';
      }
    } catch (error) {
      const { name, message } = asError(error);
      this.#deps.log.warn({ jobId: id, error: name, problem: message }, 'job.announce_failed');
      this.#deps.meter.announced(this.#lane.ledger.pool, 'failed');
    }
    const failures = this.#putOff.get(id)?.failures ?? 0;
    const delayMs = Math.min(FIRST_RETRY_MS * 2 ** Math.min(failures, 10), MAX_RETRY_MS);
    this.#wait(id, delayMs, 1);
    // Else the claim itself keeps it away for a while.
    await this.#deps.claims.defer(id, delayMs).catch(() => undefined);
    return 'later';
  }

  async #announce(id: string): Promise<Moved> {
    const { index, store, listenerOf, isReconciling, retentionMs, log, meter } = this.#deps;
    const place = await index.get(id);
    if (!place && (isReconciling() || this.#isFresh(id))) return 'later';
    const header = place && (await store.readHeader(place.acceptRef));
    if (header?.kind !== 'accept') {
      log.warn({ jobId: id }, 'job.announcement_dropped');
      meter.announced(this.#lane.ledger.pool, 'dropped');
      return 'done';
    }
    const { spec } = header;
    if (!spec.announce) return 'done';
    const listener = listenerOf(spec.announce.kind);
    const [stored] = await this.#lane.ledger.outcomes([id]);
    if (!listener || !stored) return 'later';
    await this.#within(listener(finishedView(spec, stored, retentionMs), spec.announce));
    meter.announced(this.#lane.ledger.pool, spec.announce.kind);
    return 'done';
  }

  /** Another process may be ahead in noticing that Redis lost the index: it tells of ends again before it knows the jobs. */
  #isFresh(id: string): boolean {
    return (this.#putOff.get(id)?.failures ?? 0) < UNKNOWN_TRIES;
  }

  async #within(told: Promise<void>): Promise<void> {
    const inTime = new AbortController();
    const late = this.#deps.clock.sleep(LISTENER_TIMEOUT_MS, inTime.signal).then(
      () => Promise.reject(new Error(`nobody took it in within ${LISTENER_TIMEOUT_MS} ms`)),
      () => undefined,
    );
    try {
      await Promise.race([told, late]);
    } finally {
      inTime.abort(new Error('in time'));
    }
  }

  /** What is no longer in the outbox was announced elsewhere. */
  #forgetAllBut(entries: readonly { id: string }[]): void {
    if (this.#putOff.size === 0) return;
    const present = new Set(entries.map(({ id }) => id));
    for (const id of this.#putOff.keys()) if (!present.has(id)) this.#putOff.delete(id);
  }
}
