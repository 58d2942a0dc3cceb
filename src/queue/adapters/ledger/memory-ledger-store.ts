import type { LedgerNews, LedgerStore } from '../../live-order/ports.ts';
import { executeTurn } from '../../policy/ledger/execute.ts';
import type { TurnRequest, TurnResult } from '../../policy/ledger/ops.ts';
import { emptyLedger, type LedgerState } from '../../policy/ledger/state.ts';

/** The specification itself as a store: for tests and the simulator, all owners in one process. */
export class MemoryLedgerStore implements LedgerStore {
  readonly #nowUs: () => number;
  readonly #news = new Map<string, LedgerNews>();
  #state: LedgerState = emptyLedger();
  #runId = 'memory-1';
  #starts = 1;

  /** `nowUs` = whole microseconds since the epoch. */
  constructor(nowUs: () => number) {
    this.#nowUs = nowUs;
  }

  get state(): LedgerState {
    return this.#state;
  }

  exec(request: TurnRequest): Promise<TurnResult> {
    const { result, mail } = executeTurn(this.#state, request, this.#nowUs());
    for (const [owner, letter] of mail) this.#news.get(owner)?.onMail(letter);
    if (result.kind === 'turned') {
      for (const [owner, news] of this.#news) if (owner !== request.owner) result.hints.forEach(news.onHint);
    }
    return Promise.resolve(result);
  }

  runId(): Promise<string> {
    return Promise.resolve(this.#runId);
  }

  subscribe(owner: string, news: LedgerNews): () => void {
    this.#news.set(owner, news);
    return () => this.#news.delete(owner);
  }

  /** Another server with the same data, as after a restart with persistence, or a fail-over to a replica that was not behind. */
  restartWithData(): void {
    this.#starts += 1;
    this.#runId = `memory-${this.#starts}`;
  }

  /** A restart that loses everything, as of a Redis without persistence. */
  restart(): void {
    this.#starts += 1;
    this.#runId = `memory-${this.#starts}`;
    this.#state = emptyLedger();
  }
}
