import { executeTurn } from '../../src/queue/policy/ledger/execute.ts';
import type {
  AdmitOp,
  Eviction,
  Grant,
  LedgerOp,
  Offer,
  PoolHint,
  ReplyOf,
} from '../../src/queue/policy/ledger/ops.ts';
import { emptyLedger, type LedgerState } from '../../src/queue/policy/ledger/state.ts';
import { TEST_TIMING } from './ledger-script.ts';
import { ROOMY_LIMITS } from './live-order-builders.ts';

/** The specification by hand: one operation at a time, at the time that the test says, with what everybody was told. */
export class LedgerHand {
  readonly state: LedgerState = emptyLedger();
  nowMs = 1_700_000_000_000;
  /** Offers and evictions of the last operation, by owner. */
  offers: Record<string, Offer[]> = {};
  evictions: Record<string, Eviction[]> = {};
  hints: readonly PoolHint[] = [];
  grants: readonly Grant[] = [];
  /** What every caller could run on; none: he is asked about each slot. */
  reach: readonly string[] = [];
  #incarnation = '';

  constructor(slots: Record<string, number> = {}, owners: readonly string[] = ['a', 'b']) {
    for (const owner of owners) this.join(owner);
    this.endpoints(slots);
  }

  /** Joins, or joins again, also on another server. */
  join(owner: string, runId = 'run-1', previous = '', executes = true) {
    const reply = this.do(owner, { op: 'open', runId, previous, executes, timing: TEST_TIMING });
    this.#incarnation = reply.incarnation;
    return reply;
  }

  endpoints(slots: Record<string, number>, adapters: Record<string, string[]> = {}): void {
    const endpoints = Object.entries(slots).map(([id, count]) => {
      const served = adapters[id];
      return { id, slots: count, ...(served && { adapters: served }) };
    });
    this.do('a', { op: 'setEndpoints', endpoints });
  }

  do<O extends LedgerOp>(owner: string, op: O): ReplyOf<O['op']> {
    const request = { owner, incarnation: this.#incarnation, reach: this.reach, ops: [op] };
    const { result, mail } = executeTurn(this.state, request, this.nowMs * 1_000);
    if (result.kind === 'stale') throw new Error('stale');
    const letters = [[owner, result.mail] as const, ...mail];
    this.offers = Object.fromEntries(letters.map(([to, letter]) => [to, [...letter.offers]]));
    this.evictions = Object.fromEntries(letters.map(([to, letter]) => [to, [...letter.evictions]]));
    this.hints = result.hints;
    this.grants = result.grants;
    return result.replies[0] as ReplyOf<O['op']>;
  }

  /** Every owner lives on. */
  pass(byMs: number, owners: readonly string[] = this.state.owners.ids()): void {
    this.nowMs += byMs;
    for (const owner of owners) this.state.owners.add(owner, this.nowMs);
  }

  admit(id: string, change: Partial<AdmitOp> & { owner?: string } = {}) {
    const { owner = 'a', ...fields } = change;
    return this.do(owner, {
      op: 'admit',
      id,
      kind: 'held',
      objective: 'interactive',
      priority: 100,
      classKey: '',
      bytes: 10,
      costTokens: 1,
      expiresAtMs: 0,
      arrivedAtMs: 0,
      limits: ROOMY_LIMITS,
      ranking: this.state.endpoints.map((endpoint) => endpoint.id),
      ...fields,
    });
  }

  take(id: string, ranking: readonly string[] = this.state.endpoints.map((endpoint) => endpoint.id)) {
    return this.do(this.ticket(id).owner, { op: 'take', id, token: this.token(id), ranking });
  }

  finish(id: string) {
    return this.do(this.ticket(id).owner, { op: 'finish', id, token: this.token(id) });
  }

  token(id: string): string {
    return String(this.ticket(id).token);
  }

  ticket(id: string) {
    const ticket = this.state.tickets.get(id);
    if (ticket === undefined) throw new Error(`no ticket ${id}`);
    return ticket;
  }

  /** State of each ticket, for those that are there. */
  get states(): Record<string, string> {
    return Object.fromEntries([...this.state.tickets.values()].map((ticket) => [ticket.id, ticket.state]));
  }

  get snapshot() {
    return this.do('a', { op: 'snapshot' });
  }
}
