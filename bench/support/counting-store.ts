import type { LedgerNews, LedgerStore } from '../../src/queue/live-order/ports.ts';
import type { TurnRequest, TurnResult } from '../../src/queue/policy/ledger/ops.ts';

/** What an owner and the ledger said to each other. */
export interface Traffic {
  turns: number;
  /** By name. */
  readonly ops: Map<string, number>;
  /** Slots offered to the owner, and of these by mail of somebody else's turn. */
  offers: number;
  mailed: number;
  /** Slots given without an offer, with the answer of a turn. */
  grants: number;
  /** Offers that were answered too late, or were taken back. */
  lapsed: number;
}

export function newTraffic(): Traffic {
  return { turns: 0, ops: new Map(), offers: 0, mailed: 0, grants: 0, lapsed: 0 };
}

/** A ledger that counts. */
export class CountingStore implements LedgerStore {
  readonly #inner: LedgerStore;
  readonly #traffic: Traffic;

  constructor(inner: LedgerStore, traffic: Traffic) {
    this.#inner = inner;
    this.#traffic = traffic;
  }

  async exec(request: TurnRequest): Promise<TurnResult> {
    const traffic = this.#traffic;
    traffic.turns += 1;
    for (const { op } of request.ops) traffic.ops.set(op, (traffic.ops.get(op) ?? 0) + 1);
    const result = await this.#inner.exec(request);
    if (result.kind === 'stale') return result;
    traffic.offers += result.mail.offers.length;
    traffic.grants += result.grants.length;
    traffic.lapsed += result.replies.filter(
      (reply, index) => request.ops[index]?.op === 'take' && reply.kind === 'stale',
    ).length;
    return result;
  }

  runId(): Promise<string> {
    return this.#inner.runId();
  }

  subscribe(owner: string, news: LedgerNews): () => void {
    const traffic = this.#traffic;
    return this.#inner.subscribe(owner, {
      ...news,
      onMail: (mail) => {
        traffic.offers += mail.offers.length;
        traffic.mailed += mail.offers.length;
        news.onMail(mail);
      },
    });
  }
}
