import type { EnterOptions, Entry, EvictReason, Lease, LiveOrder, TicketSpec } from '../../../src/core/live-order.ts';
import type { Outcome } from '../../../src/core/outcome.ts';
import { POOL } from './support.ts';

interface Waiter {
  readonly ticket: TicketSpec;
  readonly options: EnterOptions;
  readonly excluded: readonly string[];
  readonly attempt: number;
  readonly resolve: (entry: Entry) => void;
}

/** A live order in memory: first come, first served; one slot pool per endpoint; a test grants, evicts and loses. */
export class FakeLiveOrder implements LiveOrder {
  readonly pool = POOL;
  readonly slots = new Map<string, number>();
  readonly entered: string[] = [];
  readonly requeued: string[] = [];
  readonly released: string[] = [];
  readonly settled: { id: string; outcome: Outcome; recordRef: string | undefined }[] = [];
  /** Answered instead of queueing, once. */
  nextEntry: Entry | null = null;
  /** Thrown by the next `enter` or `requeue`. */
  nextError: Error | null = null;
  nextSettle: 'settled' | Outcome | Error = 'settled';
  readonly #waiting: Waiter[] = [];
  readonly #sizes = new Map<string, number>();
  readonly #lost = new Map<string, AbortController>();

  constructor(slots: Readonly<Record<string, number>> = {}) {
    for (const [id, count] of Object.entries(slots)) this.slots.set(id, count);
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  enter(ticket: TicketSpec, options: EnterOptions): Promise<Entry> {
    this.entered.push(ticket.id);
    return this.#queue(ticket, options, [], 1);
  }

  /** Gives an endpoint more slots and serves who waits. */
  open(endpointId: string, slots: number): void {
    this.slots.set(endpointId, slots);
    this.#assign();
  }

  /** Sets the slots of an endpoint, counting those in use. */
  resize(endpointId: string, slots: number): void {
    const used = (this.#sizes.get(endpointId) ?? 0) - (this.slots.get(endpointId) ?? 0);
    this.#sizes.set(endpointId, slots);
    this.open(endpointId, slots - used);
  }

  evict(reason: EvictReason): void {
    for (const waiter of this.#waiting.splice(0)) waiter.resolve({ kind: 'evicted', reason });
  }

  moved(position: number): void {
    for (const waiter of this.#waiting) waiter.options.onWaiting?.(position);
  }

  lose(ticketId: string): void {
    this.#lost.get(ticketId)?.abort();
  }

  #queue(ticket: TicketSpec, options: EnterOptions, excluded: readonly string[], attempt: number): Promise<Entry> {
    if (this.nextError) {
      const error = this.nextError;
      this.nextError = null;
      return Promise.reject(error);
    }
    if (this.nextEntry) {
      const entry = this.nextEntry;
      this.nextEntry = null;
      return Promise.resolve(entry);
    }
    return new Promise((resolve) => {
      const waiter: Waiter = { ticket, options, excluded, attempt, resolve };
      const withdraw = (): void => {
        const place = this.#waiting.indexOf(waiter);
        if (place >= 0) this.#waiting.splice(place, 1);
        resolve({ kind: 'evicted', reason: 'withdrawn' });
      };
      if (options.signal.aborted) {
        withdraw();
        return;
      }
      options.signal.addEventListener('abort', withdraw, { once: true });
      this.#waiting.push(waiter);
      this.#assign();
      if (this.#waiting.includes(waiter)) options.onWaiting?.(this.#waiting.indexOf(waiter));
    });
  }

  #assign(): void {
    for (const waiter of [...this.#waiting]) {
      const free = waiter.options.rank().find((id) => !waiter.excluded.includes(id) && (this.slots.get(id) ?? 0) > 0);
      if (free === undefined) continue;
      this.slots.set(free, (this.slots.get(free) ?? 0) - 1);
      this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
      waiter.resolve({ kind: 'run', lease: this.#lease(waiter, free) });
    }
  }

  #lease(waiter: Waiter, endpointId: string): Lease {
    const { ticket, options, excluded, attempt } = waiter;
    const lost = new AbortController();
    this.#lost.set(ticket.id, lost);
    let held = true;
    const giveBack = (): void => {
      if (!held) return;
      held = false;
      this.open(endpointId, (this.slots.get(endpointId) ?? 0) + 1);
    };
    return {
      ticketId: ticket.id,
      endpointId,
      attempt,
      waitedMs: 0,
      lost: lost.signal,
      requeue: (exclude) => {
        this.requeued.push(exclude);
        giveBack();
        return this.#queue(ticket, options, [...excluded, exclude], attempt + 1);
      },
      release: () => {
        this.released.push(ticket.id);
        giveBack();
      },
      settle: (outcome, recordRef) => {
        giveBack();
        if (this.nextSettle instanceof Error) return Promise.reject(this.nextSettle);
        this.settled.push({ id: ticket.id, outcome, recordRef });
        if (this.nextSettle === 'settled') return Promise.resolve({ kind: 'settled' as const });
        return Promise.resolve({ kind: 'already' as const, outcome: this.nextSettle });
      },
    };
  }
}
