import type { BulkDemand, Reservation, StoredOutcome, StoredTicket } from '../../core/live-order.ts';
import type { Outcome } from '../../core/outcome.ts';
import type { LedgerOp, ReplyOf } from '../policy/ledger/ops.ts';
import { parseStoredOutcome } from './stored-outcome.ts';
import { readSettled } from './ticket-lease.ts';

/** Sends one idempotent operation, again if need be, and resolves with its reply or rejects at the deadline. */
export type Ask = <O extends LedgerOp>(op: O) => Promise<ReplyOf<O['op']>>;

/** The part of the ledger that counts stored work and keeps its outcomes. */
export class StoredRequests {
  readonly #ask: Ask;
  readonly #onAsleep: () => void;

  constructor(ask: Ask, onAsleep: () => void) {
    this.#ask = ask;
    this.#onAsleep = onAsleep;
  }

  async reserve(ticket: StoredTicket, ttlMs: number): Promise<Reservation> {
    const reply = await this.#ask({ op: 'reserve', ...demandOf(ticket), limits: ticket.limits, ttlMs });
    if (reply.kind === 'rejected') return reply;
    if (reply.asleep) this.#onAsleep();
    return { kind: 'reserved' };
  }

  async confirm(ticket: StoredTicket): Promise<void> {
    const { acceptedAtEpochMs = 0, announced = false } = ticket;
    await this.#ask({ op: 'confirm', ...demandOf(ticket), acceptedAtMs: acceptedAtEpochMs, announced });
  }

  async forget(id: string): Promise<void> {
    await this.#ask({ op: 'forget', id });
  }

  async settle(
    id: string,
    objective: string,
    outcome: Outcome,
    recordRef: string | null,
    { announced = false }: { readonly announced?: boolean } = {},
  ): Promise<{ kind: 'settled' } | { kind: 'already'; stored: StoredOutcome }> {
    const texts = { outcome: JSON.stringify(outcome), recordRef: JSON.stringify(recordRef) };
    const reply = await this.#ask({ op: 'settle', id, objective, token: '', ...texts, announced });
    if (reply.kind === 'settled' || readSettled(reply, texts).kind === 'settled') return { kind: 'settled' };
    return { kind: 'already', stored: parseStoredOutcome(reply.stored) };
  }

  async outcomes(ids: readonly string[]): Promise<readonly (StoredOutcome | null)[]> {
    const reply = await this.#ask({ op: 'outcomes', ids });
    return reply.stored.map((text) => (text === '' ? null : parseStoredOutcome(text)));
  }

  async overdue(limit: number): Promise<readonly { id: string; objective: string }[]> {
    return (await this.#ask({ op: 'overdue', limit })).jobs;
  }

  async setBulk({ deadlineEpochMs, acceptedAtEpochMs, ...bulk }: BulkDemand): Promise<void> {
    const times = { deadlineMs: deadlineEpochMs ?? 0, acceptedAtMs: acceptedAtEpochMs };
    const { asleep } = await this.#ask({ op: 'setBulk', ...bulk, ...times });
    if (asleep) this.#onAsleep();
  }

  async outbox(limit: number): Promise<readonly { id: string; objective: string }[]> {
    return (await this.#ask({ op: 'outbox', limit })).jobs;
  }

  async ackOutbox(ids: readonly string[]): Promise<void> {
    if (ids.length > 0) await this.#ask({ op: 'ackOutbox', ids });
  }
}

function demandOf(ticket: StoredTicket) {
  const { id, objective, priority, fairnessId, bytes, costTokens, deadlineEpochMs } = ticket;
  return { id, objective, priority, fairnessId, bytes, costTokens, deadlineMs: deadlineEpochMs ?? 0 };
}
