import type { Entry, EvictReason, Lease } from '../../core/live-order.ts';
import type { Outcome } from '../../core/outcome.ts';
import type { LedgerOp, OpName } from '../policy/ledger/ops.ts';
import type { SettleReply } from '../policy/ledger/stored-ops.ts';
import type { OwnedTicket } from './owned-ticket.ts';
import { parseStoredOutcome } from './stored-outcome.ts';
import type { LedgerRequest } from './turn-queue.ts';

/** A result is synced when it is settled, so the ledger may take its time before the caller gives up. */
export const SETTLE_MS = 15_000;

/** What a lease needs of the desk. */
export interface LeaseDesk {
  push<N extends OpName>(request: Omit<LedgerRequest<N>, 'deadlineMs'>, withinMs?: number): void;
  tell(make: () => LedgerOp | null): void;
  withdraw(id: string): void;
  forget(ticket: OwnedTicket): void;
  evict(ticket: OwnedTicket, reason: EvictReason): void;
}

type Settled = Awaited<ReturnType<Lease['settle']>>;

export class TicketLease implements Lease {
  readonly ticketId: string;
  readonly endpointId: string;
  readonly attempt: number;
  readonly waitedMs: number;
  readonly #ticket: OwnedTicket;
  readonly #desk: LeaseDesk;

  constructor(ticket: OwnedTicket, desk: LeaseDesk) {
    this.ticketId = ticket.id;
    this.endpointId = ticket.endpointId;
    this.attempt = ticket.attempt;
    this.waitedMs = ticket.waitedMs;
    this.#ticket = ticket;
    this.#desk = desk;
  }

  get lost(): AbortSignal {
    return this.#ticket.lost;
  }

  requeue(excludeEndpointId: string): Promise<Entry> {
    const ticket = this.#ticket;
    if (!this.#isPresent()) return Promise.resolve({ kind: 'evicted', reason: 'lost' });
    const entry = ticket.entry();
    if (ticket.options.signal.aborted) {
      this.#desk.withdraw(ticket.id);
      this.#desk.evict(ticket, 'withdrawn');
      return entry;
    }
    ticket.state = 'waiting';
    const isNew = excludeEndpointId !== '' && !ticket.excluded.includes(excludeEndpointId);
    if (isNew) ticket.excluded = [...ticket.excluded, excludeEndpointId];
    this.#desk.push<'requeue'>({
      make: () => {
        const { id, token } = ticket;
        // Without a token it was re-asserted as waiting meanwhile.
        const isNeeded = ticket.state === 'waiting' && token !== '';
        return isNeeded ? { op: 'requeue', id, token, exclude: excludeEndpointId } : null;
      },
      onReply: (reply) => {
        if (ticket.state !== 'waiting') return;
        if (reply.kind === 'queued') ticket.moved(reply.position);
        else {
          this.#desk.withdraw(ticket.id);
          this.#desk.evict(ticket, 'lost');
        }
      },
      // It stands in the table as waiting: the re-assertion that follows puts it there in the ledger too.
      onDoubt: () => undefined,
      onFailure: (error) => {
        if (ticket.state !== 'waiting') return;
        this.#desk.forget(ticket);
        this.#desk.withdraw(ticket.id);
        ticket.reject(error);
      },
    });
    return entry;
  }

  release(usedTokens = 0): void {
    const ticket = this.#ticket;
    if (!this.#isPresent()) return;
    if (ticket.options.signal.aborted) {
      this.#desk.forget(ticket);
      this.#desk.withdraw(ticket.id);
      return;
    }
    ticket.state = 'recording';
    // Not needed if the ticket was ended before the turn left.
    this.#desk.tell(() => {
      const { id, token, state } = ticket;
      return state === 'recording' ? { op: 'release', id, token, ...(usedTokens > 0 && { usedTokens }) } : null;
    });
  }

  settle(outcome: Outcome, recordRef?: string): Promise<Settled> {
    return this.#ticket.spec.kind === 'stored' ? this.#settleStored(outcome, recordRef ?? null) : this.#finish(outcome);
  }

  /** The outcome of a held call is the answer itself, and a row's is kept by its batch: the ledger only hears that it is over. */
  #finish(outcome: Outcome): Promise<Settled> {
    const ticket = this.#ticket;
    if (ticket.isActive) {
      this.#desk.forget(ticket);
      this.#desk.tell(() => ({ op: 'finish', id: ticket.id, token: ticket.token, ...usedTokens(outcome) }));
    }
    return Promise.resolve({ kind: 'settled' });
  }

  #settleStored(outcome: Outcome, recordRef: string | null): Promise<Settled> {
    const ticket = this.#ticket;
    if (ticket.state === 'running') ticket.state = 'recording';
    const texts = { outcome: JSON.stringify(outcome), recordRef: JSON.stringify(recordRef) };
    const { id, spec } = ticket;
    return new Promise((resolve, reject) => {
      const request: Omit<LedgerRequest<'settle'>, 'deadlineMs'> = {
        make: () => {
          const token = ticket.state === 'recording' ? ticket.token : '';
          const { objective, announced = false } = spec;
          return { op: 'settle', id, objective, token, ...texts, announced, ...usedTokens(outcome) };
        },
        onReply: (reply) => {
          this.#desk.forget(ticket);
          resolve(readSettled(reply, texts));
        },
        onFailure: (error) => {
          this.#desk.forget(ticket);
          this.#desk.withdraw(id);
          reject(error);
        },
        onDoubt: 'again',
      };
      this.#desk.push(request, SETTLE_MS);
    });
  }

  /** A lease of an earlier run of the same ticket is void. */
  #isPresent(): boolean {
    return this.#ticket.state === 'running' && this.#ticket.attempt === this.attempt;
  }
}

/** Tokens that the engine told, or that came; nothing when neither is known. */
function usedTokens({ usage, seenTokens = 0 }: Outcome): { usedTokens?: number } {
  const tokens = usage === null ? seenTokens : usage.promptTokens + usage.completionTokens;
  return tokens > 0 ? { usedTokens: tokens } : {};
}

/** An outcome that is there already and equal is our own, written by a turn whose answer was lost. */
export function readSettled(reply: SettleReply, own: { outcome: string; recordRef: string }): Settled {
  if (reply.kind === 'settled') return reply;
  const stored = parseStoredOutcome(reply.stored);
  const isOwn = JSON.stringify(stored.outcome) === own.outcome && JSON.stringify(stored.recordRef) === own.recordRef;
  return isOwn ? { kind: 'settled' } : { kind: 'already', outcome: stored.outcome };
}
