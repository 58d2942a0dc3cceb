import type { Clock } from '../../core/clock.ts';
import type {
  BulkDemand,
  EndpointSlots,
  EngineWatch,
  EnterOptions,
  Entry,
  Gate,
  LedgerSnapshot,
  LiveOrder,
  LiveTicket,
  LiveTicketQuery,
  ObjectiveRules,
  OrderControl,
  Reservation,
  SlotLedger,
  StoredLedger,
  StoredTicket,
  TicketSpec,
} from '../../core/live-order.ts';
import type { Logger } from '../../core/logger.ts';
import type { PoolKey } from '../../core/objects.ts';
import type { Outcome } from '../../core/outcome.ts';
import type { LedgerOp, PoolHint, ReplyOf, Timing } from '../policy/ledger/ops.ts';
import { LedgerLink } from './ledger-link.ts';
import { OrderDesk } from './order-control.ts';
import type { LedgerStore } from './ports.ts';
import { Signal } from './signal.ts';
import { SlotControl } from './slot-control.ts';
import { type Ask, StoredRequests } from './stored-requests.ts';
import { TicketDesk } from './ticket-desk.ts';
import { TurnQueue } from './turn-queue.ts';

export const DEFAULT_TIMING: Timing = {
  offerMs: 1_000,
  deadOwnerMs: 3_000,
  quarantineCapMs: 60_000,
  recoveryMs: 2_000,
  outcomeRetentionMs: 24 * 60 * 60 * 1_000,
};

export interface PoolLiveOrderDeps {
  readonly store: LedgerStore;
  readonly pool: PoolKey;
  /** Name of this process in the ledger: unique among all that run, new at each start. */
  readonly owner: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** All processes of an installation must agree. */
  readonly timing?: Partial<Timing>;
  /** False for a process that only reads and sets, and never runs tickets. */
  readonly executes?: boolean;
}

/**
 * The live order of one pool as this process sees it: owns the tickets that enter here, and speaks to the ledger for
 * them. Joins the ledger at once and stays joined, through restarts of Redis, until `close`. While Redis is away,
 * running calls go on, entering fails with `queue_unavailable`, and what is set is set when it is back.
 */
export class PoolLiveOrder implements LiveOrder, SlotLedger, StoredLedger, EngineWatch, OrderControl {
  readonly pool: PoolKey;
  readonly #clock: Clock;
  readonly #link: LedgerLink;
  readonly #desk: TicketDesk;
  readonly #slots: SlotControl;
  readonly #stored: StoredRequests;
  readonly #order: OrderDesk;
  readonly #unsubscribe: () => void;
  readonly #demand = new Signal<void>();
  readonly #queue: TurnQueue;
  readonly #windowsChanged = new Signal<void>();
  readonly #incarnations = new Signal<string>();
  #windows: ReadonlyMap<string, number> = new Map();

  constructor(deps: PoolLiveOrderDeps) {
    const { store, pool, owner, clock, log, executes = true } = deps;
    this.pool = pool;
    this.#clock = clock;
    const onAsleep = () => this.#demand.emit();
    this.#queue = new TurnQueue({
      clock,
      exec: (ops) => this.#link.exec(ops, this.#desk.reach),
      onTurn: ({ nowMs, grants, mail, hints }) => {
        this.#link.heard(nowMs);
        this.#desk.onGrants(grants);
        this.#desk.onMail(mail);
        if (hints.includes('windows')) this.#link.beat();
      },
      onDoubt: (error) => this.#link.doubt(error),
      onBug: (err) => log.error({ pool, err }, 'live_order.callback_failed'),
    });
    const queue = this.#queue;
    this.#desk = new TicketDesk({ owner, clock, queue, onAsleep, ledgerNowMs: () => this.#link.ledgerNowMs() });
    this.#link = new LedgerLink({
      ...{ store, pool, owner, executes, clock, log, queue, desk: this.#desk },
      timing: { ...DEFAULT_TIMING, ...deps.timing },
      onWindows: (windows) => this.#setWindows(windows),
      onIncarnation: (incarnation) => this.#began(incarnation, log),
    });
    const ask: Ask = (op) => this.#ask(op);
    this.#slots = new SlotControl({
      ask,
      incarnation: () => this.#link.incarnation,
      ledgerNowMs: () => this.#link.ledgerNowMs(),
    });
    this.#stored = new StoredRequests(ask, onAsleep);
    this.#order = new OrderDesk(ask);
    this.#unsubscribe = store.subscribe(owner, {
      onMail: (mail) => {
        this.#link.noticeStall();
        this.#desk.onMail(mail);
      },
      onHint: (hint) => this.#hinted(hint),
      onGap: () => this.#link.beat(),
    });
    this.#link.start();
  }

  enter(ticket: TicketSpec, options: EnterOptions): Promise<Entry> {
    return this.#desk.enter(ticket, options);
  }

  setEndpoints(endpoints: readonly EndpointSlots[]): Promise<void> {
    return this.#slots.setEndpoints(endpoints);
  }

  forgetEndpoints(): void {
    this.#slots.forgetEndpoints();
  }

  setGate(endpointId: string, gate: Gate): Promise<void> {
    return this.#slots.setGate(endpointId, gate);
  }

  setSoonSlots(slots: number): Promise<void> {
    return this.#slots.setSoonSlots(slots);
  }

  setRules(rules: readonly ObjectiveRules[]): Promise<void> {
    return this.#slots.setRules(rules);
  }

  snapshot(): Promise<LedgerSnapshot> {
    return this.#slots.snapshot();
  }

  closeIfIdle(activityEpoch: number): Promise<boolean> {
    return this.#slots.closeIfIdle(activityEpoch);
  }

  onDemand(listener: () => void): () => void {
    return this.#demand.listen(listener);
  }

  observe(endpointId: string, activeRequests: number, startedAtEpochMs: number): void {
    const startedAtMs = startedAtEpochMs - this.#clock.epochMs() + this.#link.ledgerNowMs();
    const nothing = () => undefined;
    this.#desk.push({
      make: () => ({ op: 'observe', endpointId, activeRequests, startedAtMs: Math.floor(startedAtMs) }),
      ...{ onReply: nothing, onFailure: nothing, onDoubt: nothing },
    });
  }

  setPaused(objective: string, paused: boolean): Promise<void> {
    return this.#order.setPaused(objective, paused);
  }

  pausedObjectives(): Promise<readonly string[]> {
    return this.#order.pausedObjectives();
  }

  list(query: LiveTicketQuery): Promise<readonly LiveTicket[]> {
    return this.#order.list(query);
  }

  find(id: string): Promise<LiveTicket | null> {
    return this.#order.find(id);
  }

  reserve(ticket: StoredTicket, ttlMs: number): Promise<Reservation> {
    return this.#stored.reserve(ticket, ttlMs);
  }

  confirm(ticket: StoredTicket): Promise<void> {
    return this.#stored.confirm(ticket);
  }

  forget(id: string): Promise<void> {
    return this.#stored.forget(id);
  }

  settle(
    id: string,
    objective: string,
    outcome: Outcome,
    recordRef: string | null,
    options?: { readonly announced?: boolean },
  ): ReturnType<StoredLedger['settle']> {
    return this.#stored.settle(id, objective, outcome, recordRef, options);
  }

  outcomes(ids: readonly string[]): ReturnType<StoredLedger['outcomes']> {
    return this.#stored.outcomes(ids);
  }

  overdue(limit: number): ReturnType<StoredLedger['overdue']> {
    return this.#stored.overdue(limit);
  }

  setBulk(demand: BulkDemand): Promise<void> {
    return this.#stored.setBulk(demand);
  }

  outbox(limit: number): ReturnType<StoredLedger['outbox']> {
    return this.#stored.outbox(limit);
  }

  ackOutbox(ids: readonly string[]): Promise<void> {
    return this.#stored.ackOutbox(ids);
  }

  windows(): ReadonlyMap<string, number> {
    return this.#windows;
  }

  onWindows(listener: () => void): () => void {
    return this.#windowsChanged.listen(listener);
  }

  onIncarnation(listener: (incarnation: string) => void): () => void {
    return this.#incarnations.listen(listener);
  }

  /** Sends waiting callers away and leaves the ledger. Running calls should have ended; theirs are lost leases. */
  async close(): Promise<void> {
    this.#desk.close();
    this.#setWindows(new Map());
    await this.#link.close();
    this.#queue.close();
    this.#unsubscribe();
    this.#desk.loseAll();
  }

  #ask<O extends LedgerOp>(op: O): Promise<ReplyOf<O['op']>> {
    return new Promise((resolve, reject) => {
      this.#desk.push<O['op']>({ make: () => op, onReply: resolve, onFailure: reject, onDoubt: 'again' });
    });
  }

  #hinted(hint: PoolHint): void {
    if (hint === 'wake') this.#demand.emit();
    else this.#link.beat();
  }

  #setWindows(windows: ReadonlyMap<string, number>): void {
    const isSame =
      windows.size === this.#windows.size && [...windows].every(([name, count]) => this.#windows.get(name) === count);
    if (isSame) return;
    this.#windows = windows;
    this.#windowsChanged.emit();
  }

  #began(incarnation: string, log: Logger): void {
    this.#slots.restore().catch((err: unknown) => log.warn({ pool: this.pool, err }, 'ledger.restore_failed'));
    this.#incarnations.emit(incarnation);
  }
}
