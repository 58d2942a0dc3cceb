import type { Clock } from '../../core/clock.ts';
import { PilotlightError } from '../../core/errors.ts';
import type { EnterOptions, Entry, EvictReason, TicketSpec } from '../../core/live-order.ts';
import {
  type AdmitOp,
  type AdmitReply,
  type Grant,
  type LedgerOp,
  type Mail,
  NOT_HERE,
  type Offer,
  type OpName,
  type ReassertedTicket,
  type ReassertReply,
  type TakeOp,
  type TakeReply,
} from '../policy/ledger/ops.ts';
import { OwnedTicket } from './owned-ticket.ts';
import { parseStoredOutcome } from './stored-outcome.ts';
import { TicketLease } from './ticket-lease.ts';
import type { LedgerRequest, TurnQueue } from './turn-queue.ts';

/** How long a caller waits for an answer of the ledger: with one tick of the link, two seconds. */
const ANSWER_MS = 1_750;
/** Until the next look at a ranking that does not name the offered endpoint. */
const RANK_AGAIN_MS = 25;
/** Places asked for with one heartbeat. */
const MAX_CHECKED = 256;

export interface TicketDeskDeps {
  readonly owner: string;
  readonly clock: Clock;
  readonly queue: Pick<TurnQueue, 'push'>;
  readonly ledgerNowMs: () => number;
  /** A ticket waits and the pool has no open slot. */
  readonly onAsleep: () => void;
}

/** The tickets of this process: lets them in, answers offers, hands out leases, and tells callers how it ended. */
export class TicketDesk {
  readonly #deps: TicketDeskDeps;
  readonly #tickets = new Map<string, OwnedTicket>();
  #checkedUpTo = 0;
  /** As the last ranking named them. */
  #knownEndpoints: readonly string[] = [];
  #isClosed = false;
  /** The ledger's sum of time without an open slot, as it told last. */
  #stoppedMs = 0;

  constructor(deps: TicketDeskDeps) {
    this.#deps = deps;
  }

  get size(): number {
    return this.#tickets.size;
  }

  get hasWaiting(): boolean {
    for (const ticket of this.#tickets.values()) if (ticket.isPending) return true;
    return false;
  }

  /** Endpoints that a ticket of this process could run on now; none while no ticket waits. */
  get reach(): readonly string[] {
    for (const { state } of this.#tickets.values()) if (state === 'waiting') return this.#knownEndpoints;
    return [];
  }

  enter(spec: TicketSpec, options: EnterOptions): Promise<Entry> {
    if (options.signal.aborted) return Promise.resolve(evicted('withdrawn'));
    if (this.#tickets.has(spec.id)) return Promise.resolve({ kind: 'live', owner: this.#deps.owner });
    if (this.#isClosed) return Promise.reject(new PilotlightError('draining', 'This gateway is shutting down.'));
    const ticket = new OwnedTicket(spec, options);
    ticket.stoppedBaseMs = this.#stoppedMs;
    this.#tickets.set(ticket.id, ticket);
    ticket.onAbort(() => this.#aborted(ticket));
    const entry = ticket.entry();
    this.#admit(ticket);
    return entry;
  }

  /** A ticket that has left meanwhile is withdrawn already, and gives its slot back so. */
  onGrants(grants: readonly Grant[]): void {
    for (const { id, endpointId, token, attempt, waitedMs } of grants) {
      const ticket = this.#tickets.get(id);
      if (ticket?.state !== 'waiting' && ticket?.state !== 'offered') continue;
      ticket.token = token;
      this.#run(ticket, endpointId, attempt, waitedMs);
    }
  }

  onMail(mail: Mail): void {
    for (const offer of mail.offers) this.#offered(offer);
    for (const { id, reason } of mail.evictions) {
      const ticket = this.#tickets.get(id);
      if (ticket === undefined) continue;
      if (reason === 'settled') this.#cut(ticket);
      else if (ticket.isPending) this.evict(ticket, reason);
    }
  }

  /** The caller stops waiting; the ledger knows already, or is told by `withdraw`. */
  evict(ticket: OwnedTicket, reason: EvictReason): void {
    this.forget(ticket);
    ticket.resolve(evicted(reason));
  }

  /** Ends the waits whose time is over. One with an offer is looked at again when that was answered. */
  expireWaits(): void {
    const nowMs = this.#deps.ledgerNowMs();
    for (const ticket of this.#tickets.values()) {
      const { state, waitsUntilMs } = ticket;
      if (state !== 'waiting' || waitsUntilMs === 0 || waitsUntilMs > nowMs) continue;
      this.withdraw(ticket.id);
      this.evict(ticket, 'expired');
    }
  }

  forget(ticket: OwnedTicket): void {
    ticket.end();
    if (this.#tickets.get(ticket.id) === ticket) this.#tickets.delete(ticket.id);
  }

  withdraw(id: string): void {
    this.tell(() => ({ op: 'withdraw', id }));
  }

  /**
   * Sends an operation whose effect the table shows already. It has no deadline, because a dropped one would leave the
   * ledger with a slot that nobody knows; after a doubt the re-assertion does its work.
   */
  tell(make: () => LedgerOp | null): void {
    const nothing = () => undefined;
    this.push({ make, onReply: nothing, onFailure: nothing, onDoubt: nothing }, Infinity);
  }

  push<N extends OpName>(request: Omit<LedgerRequest<N>, 'deadlineMs'>, withinMs = ANSWER_MS): void {
    this.#deps.queue.push<N>({ ...request, deadlineMs: this.#deps.clock.monotonicMs() + withinMs });
  }

  /** Every lease is void: this process was not running for longer than others wait for it. */
  loseRunning(): number {
    const running = [...this.#tickets.values()].filter((ticket) => ticket.state === 'running');
    for (const ticket of running) this.#lose(ticket);
    return running.length;
  }

  /** A sum that is smaller than before is another one: the ledger lost the old one. */
  heardStopped(stoppedMs: number): void {
    if (stoppedMs < this.#stoppedMs) {
      for (const ticket of this.#tickets.values()) ticket.rebase(this.#stoppedMs, stoppedMs);
    }
    this.#stoppedMs = stoppedMs;
  }

  /** What the ledger should know of this process. */
  claims(): ReassertedTicket[] {
    return [...this.#tickets.values()].flatMap((ticket) => ticket.claim(this.#stoppedMs) ?? []);
  }

  claimAnswered(claim: ReassertedTicket, answer: ReassertReply['tickets'][number]): void {
    const ticket = this.#tickets.get(claim.id);
    if (ticket === undefined) {
      // It ended meanwhile, and what its end sent has an older token.
      this.withdraw(claim.id);
      return;
    }
    if (ticket.state === 'admitting') return;
    if (answer.state === 'lost' || answer.state === 'done') {
      if (ticket.isActive) this.#lose(ticket);
      else if (answer.state === 'lost') this.evict(ticket, 'lost');
      else this.#resolveDone(ticket);
      return;
    }
    ticket.token = answer.token;
    ticket.tag = answer.tag;
    if (ticket.state === 'offered') ticket.state = 'waiting';
  }

  /** Some waiting tickets whose place is asked for, others each time. */
  idsToCheck(): string[] {
    const waiting = [...this.#tickets.values()].filter((ticket) => ticket.state === 'waiting');
    if (this.#checkedUpTo >= waiting.length) this.#checkedUpTo = 0;
    const checked = waiting.slice(this.#checkedUpTo, this.#checkedUpTo + MAX_CHECKED);
    this.#checkedUpTo += checked.length;
    return checked.map((ticket) => ticket.id);
  }

  /** Whom the ledger does not know any more was evicted, and the word of it was lost. */
  onPositions(ids: readonly string[], positions: readonly number[]): void {
    ids.forEach((id, index) => {
      const ticket = this.#tickets.get(id);
      const position = positions[index];
      if (ticket?.state !== 'waiting' || position === undefined) return;
      if (position >= 0) ticket.moved(position);
      else if (position === NOT_HERE) this.evict(ticket, this.#isExpired(ticket) ? 'expired' : 'lost');
    });
  }

  /** No new tickets; those that wait are sent away. */
  close(): void {
    this.#isClosed = true;
    for (const ticket of [...this.#tickets.values()]) {
      if (!ticket.isPending) continue;
      this.withdraw(ticket.id);
      this.evict(ticket, ticket.spec.kind === 'held' ? 'withdrawn' : 'handed_back');
    }
  }

  /** What still runs cannot be proven any more. */
  loseAll(): void {
    for (const ticket of [...this.#tickets.values()]) this.#lose(ticket);
  }

  #admit(ticket: OwnedTicket): void {
    this.push<'admit'>({
      make: () => (ticket.state === 'admitting' ? this.#noted(ticket.admitOp()) : null),
      onReply: (reply) => {
        if (ticket.state === 'admitting') this.#admitted(ticket, reply);
      },
      onFailure: (error) => this.#failed(ticket, error),
      onDoubt: 'again',
    });
  }

  #admitted(ticket: OwnedTicket, reply: AdmitReply): void {
    switch (reply.kind) {
      case 'run':
        ticket.queuedAtMs = this.#deps.ledgerNowMs();
        ticket.tag = reply.tag;
        ticket.token = reply.token;
        this.#run(ticket, reply.endpointId, 1, 0);
        return;
      case 'queued':
        this.#queued(ticket, reply);
        return;
      case 'live':
        this.#live(ticket, reply.owner);
        return;
      case 'expired':
        this.evict(ticket, 'expired');
        return;
      case 'done':
        this.forget(ticket);
        ticket.resolve({ kind: 'done', outcome: parseStoredOutcome(reply.stored).outcome });
        return;
      case 'rejected':
        this.forget(ticket);
        ticket.resolve(reply);
        return;
    }
  }

  #queued(ticket: OwnedTicket, reply: Extract<AdmitReply, { kind: 'queued' }>): void {
    ticket.state = 'waiting';
    ticket.tag = reply.tag;
    ticket.queuedAtMs = this.#deps.ledgerNowMs();
    ticket.moved(reply.position);
    if (reply.asleep) this.#deps.onAsleep();
    if (ticket.earlyOffer) this.#offered(ticket.earlyOffer);
  }

  /** A ticket of this id that the ledger has for us and we do not know is left from an answer that never came. */
  #live(ticket: OwnedTicket, owner: string): void {
    if (owner === this.#deps.owner && !ticket.isRepeated) {
      ticket.isRepeated = true;
      this.withdraw(ticket.id);
      this.#admit(ticket);
      return;
    }
    this.forget(ticket);
    ticket.resolve({ kind: 'live', owner });
  }

  #offered(offer: Offer): void {
    const ticket = this.#tickets.get(offer.id);
    if (ticket === undefined) return;
    if (ticket.state === 'admitting') ticket.earlyOffer = offer;
    const isNew = (ticket.state === 'waiting' || ticket.state === 'offered') && offer.token > ticket.token;
    if (!isNew) return;
    ticket.state = 'offered';
    ticket.token = offer.token;
    this.#take(ticket, offer.token);
  }

  #take(ticket: OwnedTicket, token: string): void {
    const isCurrent = () => ticket.state === 'offered' && ticket.token === token;
    const waitAgain = () => {
      if (isCurrent()) ticket.state = 'waiting';
    };
    const request: Omit<LedgerRequest<'take'>, 'deadlineMs'> = {
      make: () => (isCurrent() ? this.#noted({ op: 'take', id: ticket.id, token, ranking: ticket.rank() }) : null),
      onReply: (reply) => {
        if (isCurrent()) this.#taken(ticket, token, reply);
      },
      onFailure: waitAgain,
      onDoubt: waitAgain,
    };
    this.push(request, Infinity);
  }

  #noted<O extends AdmitOp | TakeOp>(op: O): O {
    this.#knownEndpoints = op.ranking;
    return op;
  }

  #taken(ticket: OwnedTicket, token: string, reply: TakeReply): void {
    if (reply.kind === 'run') this.#run(ticket, reply.endpointId, reply.attempt, reply.waitedMs);
    else if (reply.kind === 'stale') ticket.state = 'waiting';
    else if (reply.kind === 'gone') this.evict(ticket, 'lost');
    else {
      // This process does not know the endpoint yet: its view may follow before the offer lapses.
      void this.#deps.clock.sleep(RANK_AGAIN_MS).then(() => this.#take(ticket, token));
    }
  }

  #run(ticket: OwnedTicket, endpointId: string, attempt: number, waitedMs: number): void {
    ticket.state = 'running';
    ticket.endpointId = endpointId;
    ticket.attempt = attempt;
    ticket.waitedMs = waitedMs;
    ticket.resolve({ kind: 'run', lease: new TicketLease(ticket, this) });
  }

  #failed(ticket: OwnedTicket, error: Error): void {
    if (ticket.state !== 'admitting') return;
    // It may still land; then this follows it, and it keeps no slot.
    this.withdraw(ticket.id);
    this.forget(ticket);
    ticket.reject(error);
  }

  #aborted(ticket: OwnedTicket): void {
    if (ticket.state === 'running') return;
    this.withdraw(ticket.id);
    this.evict(ticket, 'withdrawn');
  }

  /** Somebody else settled it: its caller stops, and the slot is free without waiting for him. */
  #cut(ticket: OwnedTicket): void {
    if (!ticket.isActive) return;
    this.withdraw(ticket.id);
    this.#lose(ticket);
  }

  #lose(ticket: OwnedTicket): void {
    this.forget(ticket);
    ticket.lose();
  }

  #resolveDone(ticket: OwnedTicket): void {
    this.forget(ticket);
    this.push<'outcomes'>({
      make: () => ({ op: 'outcomes', ids: [ticket.id] }),
      onReply: ({ stored: [text] }) => {
        ticket.resolve(text ? { kind: 'done', outcome: parseStoredOutcome(text).outcome } : evicted('lost'));
      },
      onFailure: () => ticket.resolve(evicted('lost')),
      onDoubt: 'again',
    });
  }

  #isExpired(ticket: OwnedTicket): boolean {
    const expiresAtMs = ticket.expiresAtMs(this.#stoppedMs);
    return expiresAtMs > 0 && expiresAtMs <= this.#deps.ledgerNowMs();
  }
}

function evicted(reason: EvictReason): Entry {
  return { kind: 'evicted', reason };
}
