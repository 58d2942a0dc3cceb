import { asError } from '../../core/errors.ts';
import { paused } from '../policy/lifecycle/generations.ts';
import { shouldGive, toTake } from '../policy/lifecycle/keeper-share.ts';
import type { FailingBatch } from '../ports.ts';
import { advance } from './advance.ts';
import { BatchDrive } from './batch-drive.ts';
import { Bell } from './bell.ts';
import type { DriveDeps } from './drive-deps.ts';
import { LEASE_MS } from './ports.ts';
import { RunningTeller } from './running-teller.ts';

export interface KeeperDeps extends DriveDeps {
  /** This life of this process. */
  readonly owner: string;
}

interface Kept {
  readonly drive: BatchDrive;
  readonly token: number;
  readonly stop: AbortController;
  readonly ended: Promise<void>;
  renewedAtMs: number;
}

const LOOK_MS = 1_000;
const RENEW_MS = 3_000;
/** Not renewed for so long it may be somebody else's. */
const GIVE_UP_MS = LEASE_MS - 2_000;
/** Batches taken at one look, so that a process that starts does not read a thousand documents at once. */
const TAKEN_AT_ONCE = 20;

/**
 * Takes its fair share of the unfinished batches and drives each to its end, under a lease in Redis. A lease keeps two
 * processes from doing the same work; what must not happen twice is guarded by the journal and the row states.
 */
export class BatchKeeper {
  readonly #deps: KeeperDeps;
  readonly #kept = new Map<string, Kept>();
  /** For how many looks a batch has been free. */
  readonly #looks = new Map<string, number>();
  readonly #bell: Bell;
  readonly #running: RunningTeller;
  #isTroubled = false;

  constructor(deps: KeeperDeps) {
    this.#deps = deps;
    this.#bell = new Bell(deps.clock);
    this.#running = new RunningTeller(deps);
  }

  /** Batches that this process keeps. */
  get kept(): readonly string[] {
    return [...this.#kept.keys()];
  }

  /** Redis was lost, or failed over with lost writes. */
  doubt(): void {
    for (const { drive } of this.#kept.values()) drive.doubt();
  }

  /** Resolves when the signal has aborted and every batch is given back. */
  async run(signal: AbortSignal): Promise<void> {
    const { journal, rows } = this.#deps;
    const stops = [
      journal.onChange((doc) => {
        const kept = this.#kept.get(doc.id);
        if (kept) kept.drive.heard(doc);
        else if (doc.settled === undefined) this.#bell.ring();
      }),
      rows.onProgress((id, totals) => this.#kept.get(id)?.drive.moved(totals)),
      rows.onFailing((failing) => void this.#pauseFailing(failing)),
    ];
    while (!signal.aborted) {
      await this.#lookAround();
      await this.#bell.wait(LOOK_MS, signal);
    }
    for (const stop of stops) stop();
    await Promise.all([...this.#kept.keys()].map((id) => this.#giveBack(id)));
  }

  async #lookAround(): Promise<void> {
    const { journal, leases, index, owner, log } = this.#deps;
    try {
      await journal.catchUp();
      const [keepers, live] = await Promise.all([leases.beat(owner), index.live(), this.#renew()]);
      await this.#running.tell(live);
      await this.#hear();
      await this.#take(live, keepers);
      await this.#giveAway(live.length, keepers);
      if (this.#isTroubled) log.info({}, 'batch_keeper.recovered');
      this.#isTroubled = false;
    } catch (error) {
      if (!this.#isTroubled) log.warn({ problem: asError(error).message }, 'batch_keeper.look_failed');
      this.#isTroubled = true;
    }
    this.#dropStale();
  }

  /** A hint may be lost; what it was about must not be. */
  async #hear(): Promise<void> {
    const { index, journal } = this.#deps;
    const ids = this.kept;
    const known = await index.known(ids);
    for (const [place, id] of ids.entries()) {
      const kept = this.#kept.get(id);
      if (!kept || (known[place] ?? 0) <= kept.drive.doc.generation) continue;
      const newest = await journal.read(id);
      if (newest) kept.drive.heard(newest);
    }
  }

  async #take(live: readonly string[], keepers: number): Promise<void> {
    const { leases } = this.#deps;
    const others = live.filter((id) => !this.#kept.has(id));
    const free = others.length === 0 ? [] : await leases.free(others);
    for (const id of this.#looks.keys()) if (!free.includes(id)) this.#looks.delete(id);
    for (const id of free) this.#looks.set(id, (this.#looks.get(id) ?? 0) + 1);
    const candidates = free.map((id) => ({ id, looks: this.#looks.get(id) ?? 0 }));
    const wanted = toTake({ free: candidates, held: this.#kept.size, live: live.length, keepers });
    for (const id of wanted.slice(0, TAKEN_AT_ONCE)) await this.#acquire(id);
  }

  async #acquire(id: string): Promise<void> {
    const { leases, owner, journal, log, meter, clock } = this.#deps;
    const atMs = clock.monotonicMs();
    const lease = await leases.acquire(id, owner);
    if (!lease) return;
    const doc = await journal.read(id);
    if (!doc) {
      // Removed while the index still had it. Nobody looks at it again before the lease runs out.
      log.warn({ batch: id }, 'batch_keeper.batch_unknown');
      return;
    }
    if (!lease.wasReleased) {
      meter.takenOver();
      log.info({ batch: id, status: doc.status, token: lease.token }, 'batch_keeper.taken_over');
    }
    const drive = new BatchDrive(this.#deps, doc, { needsRecovery: !lease.wasReleased });
    const stop = new AbortController();
    meter.kept(null, doc.status);
    const ended = drive.run(stop.signal).then(() => this.#driveEnded(id, drive));
    this.#kept.set(id, { drive, token: lease.token, stop, ended, renewedAtMs: atMs });
    this.#looks.delete(id);
  }

  /** Nothing is left to do for the batch; or it was dropped, and may be kept by another drive by now. */
  async #driveEnded(id: string, drive: BatchDrive): Promise<void> {
    const { meter, leases, owner, log } = this.#deps;
    const kept = this.#kept.get(id);
    if (kept?.drive !== drive) return;
    meter.kept(drive.doc.status, null);
    this.#kept.delete(id);
    await leases.release(id, owner, kept.token).catch((error: unknown) => {
      log.debug({ batch: id, problem: asError(error).message }, 'batch_keeper.release_failed');
    });
  }

  async #renew(): Promise<void> {
    const { leases, owner, clock, log } = this.#deps;
    const nowMs = clock.monotonicMs();
    const due = [...this.#kept].filter(([, kept]) => nowMs - kept.renewedAtMs >= RENEW_MS);
    await Promise.all(
      due.map(async ([id, kept]) => {
        if (await leases.renew(id, owner, kept.token)) {
          kept.renewedAtMs = nowMs;
          return;
        }
        log.warn({ batch: id }, 'batch_keeper.lease_lost');
        void this.#drop(id);
      }),
    );
  }

  /** Leases that could not be renewed in time. */
  #dropStale(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    for (const [id, kept] of this.#kept) if (nowMs - kept.renewedAtMs >= GIVE_UP_MS) void this.#drop(id);
  }

  async #giveAway(live: number, keepers: number): Promise<void> {
    if (!shouldGive({ held: this.#kept.size, live, keepers })) return;
    for (const [id, { drive }] of this.#kept) {
      if (!drive.isCalm) continue;
      await this.#giveBack(id);
      return;
    }
  }

  /** It is somebody else's now, or will be. */
  #drop(id: string): Promise<void> {
    const kept = this.#kept.get(id);
    if (!kept) return Promise.resolve();
    kept.stop.abort(new Error('the lease of the batch is over'));
    this.#deps.rows.leave(id);
    const { ended } = kept;
    this.#deps.meter.kept(kept.drive.doc.status, null);
    this.#kept.delete(id);
    return ended;
  }

  async #giveBack(id: string): Promise<void> {
    const token = this.#kept.get(id)?.token;
    await this.#drop(id);
    if (token === undefined) return;
    await this.#deps.leases.release(id, this.#deps.owner, token).catch(() => undefined);
  }

  async #pauseFailing({ batchId, message }: FailingBatch): Promise<void> {
    const { journal, clock, log, meter } = this.#deps;
    try {
      const doc = await journal.read(batchId);
      if (!doc) return;
      const change = (current: typeof doc) => paused(current, 'failing', message, clock.epochMs());
      if (!(await advance(journal, doc, change)).isChanged) return;
      meter.paused('failing');
      log.warn({ batch: batchId, tenant: doc.identity.tenant }, 'batch.paused_failing');
    } catch (error) {
      log.warn({ batch: batchId, problem: asError(error).message }, 'batch.pause_failed');
    }
  }
}
