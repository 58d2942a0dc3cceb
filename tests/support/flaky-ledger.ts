import type { LedgerNews, LedgerStore } from '../../src/queue/live-order/ports.ts';
import type { LedgerOp, TurnRequest, TurnResult } from '../../src/queue/policy/ledger/ops.ts';

/** A ledger whose connection does what a test wants. */
export class FlakyLedger implements LedgerStore {
  /** up: answers. down: refuses. lostAnswer: executes, then fails. silent: executes when `deliver` is called. */
  connection: 'up' | 'down' | 'lostAnswer' | 'silent' = 'up';
  /** Every operation that was executed, in order. */
  readonly executed: LedgerOp[] = [];
  readonly #inner: LedgerStore;
  #held: (() => void)[] = [];

  constructor(inner: LedgerStore) {
    this.#inner = inner;
  }

  async exec(request: TurnRequest): Promise<TurnResult> {
    if (this.connection === 'down') throw new Error('connection refused');
    if (this.connection === 'silent') await new Promise<void>((resolve) => this.#held.push(resolve));
    this.executed.push(...request.ops);
    const result = await this.#inner.exec(request);
    if (this.connection === 'lostAnswer') throw new Error('connection closed');
    return result;
  }

  async runId(): Promise<string> {
    if (this.connection !== 'up') throw new Error('connection refused');
    return this.#inner.runId();
  }

  subscribe(owner: string, news: LedgerNews): () => void {
    return this.#inner.subscribe(owner, news);
  }

  /** Lets everything through that waits in silence. */
  deliver(): void {
    this.connection = 'up';
    for (const resolve of this.#held.splice(0)) resolve();
  }
}
