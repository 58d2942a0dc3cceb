import type { Clock } from '../core/clock.ts';
import { asError } from '../core/errors.ts';
import type { EndpointSlots, SlotLedger } from '../core/live-order.ts';
import type { Logger } from '../core/logger.ts';
import type { PoolKey } from '../core/objects.ts';
import type { PublishRight } from './ports.ts';

/** Pause after a refused or failed update; doubles up to five times, so at most 8 s. */
const RETRY_AFTER_MS = 250;
const MAX_DOUBLINGS = 5;

export interface SlotsPublisherDeps {
  readonly pool: PoolKey;
  readonly ledger: Pick<SlotLedger, 'setEndpoints' | 'forgetEndpoints'>;
  /** Absent: this process is the only one. */
  readonly right?: PublishRight;
  readonly clock: Clock;
  readonly log: Logger;
  /** Nothing is said before it resolves; it never rejects. Null = at once. */
  readonly ready: Promise<void> | null;
  /** The whole set as it should be now. */
  readonly wanted: () => readonly EndpointSlots[];
}

/**
 * Tells the ledger the slots of a pool, as long as this gateway is the one to do so: one update in flight, changes of one turn of the event loop together, nothing
 * when nothing changed, and again until it was taken. Always the newest state, so a repeat does no harm.
 */
export class SlotsPublisher {
  readonly #deps: SlotsPublisherDeps;
  readonly #closing = new AbortController();
  readonly #unlisten: () => void;
  #dirty = false;
  #running = false;
  #forced = false;
  #taken: string | null = null;

  constructor(deps: SlotsPublisherDeps) {
    this.#deps = deps;
    this.#unlisten = deps.right?.onChange(() => this.#rightChanged()) ?? (() => undefined);
  }

  changed(): void {
    this.#dirty = true;
    if (this.#running || this.#closing.signal.aborted) return;
    this.#running = true;
    setImmediate(() => void this.#run());
  }

  resend(): void {
    this.#forced = true;
    this.changed();
  }

  close(): void {
    this.#unlisten();
    this.#closing.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    let failures = 0;
    await this.#deps.ready;
    while (this.#dirty && !signal.aborted) {
      this.#dirty = false;
      if (await this.#publish(failures)) {
        failures = 0;
        continue;
      }
      this.#dirty = true;
      const pauseMs = RETRY_AFTER_MS * 2 ** Math.min(failures, MAX_DOUBLINGS);
      failures += 1;
      await this.#deps.clock.sleep(pauseMs, signal).catch(() => undefined);
    }
    this.#running = false;
  }

  /** What another gateway has said meanwhile is not known here, so a new right begins with everything. */
  #rightChanged(): void {
    if (this.#mayPublish()) this.resend();
    else this.#deps.ledger.forgetEndpoints();
  }

  #mayPublish(): boolean {
    return this.#deps.right?.isHeld() ?? true;
  }

  async #publish(failures: number): Promise<boolean> {
    if (!this.#mayPublish()) return true;
    const wanted = this.#deps.wanted();
    const text = JSON.stringify(wanted);
    if (text === this.#taken && !this.#forced) return true;
    this.#forced = false;
    this.#taken = null;
    try {
      await this.#deps.ledger.setEndpoints(wanted);
      this.#taken = text;
      return true;
    } catch (thrown) {
      const fields = { pool: this.#deps.pool, failures, err: asError(thrown) };
      this.#deps.log.warn(fields, 'slots.publish_failed');
      return false;
    }
  }
}
