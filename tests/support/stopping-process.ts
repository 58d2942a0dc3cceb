import type { Clock } from '../../src/core/clock.ts';
import type { LedgerNews, LedgerStore } from '../../src/queue/live-order/ports.ts';
import type { TurnRequest, TurnResult } from '../../src/queue/policy/ledger/ops.ts';

/**
 * What SIGSTOP does to one of several processes: the others go on, its own timers, answers and news wait in the kernel. When
 * it continues, what came over the network is read first, as the poll phase of an event loop does, and then the timers.
 */
export class StoppingProcess {
  /** News that reaches nobody, while true. */
  losesMail = false;
  readonly clock: Clock;
  readonly #inner: LedgerStore;
  #stopped: { readonly go: Promise<void>; readonly resume: () => void } | null = null;
  #arrived: (() => void)[] = [];
  #afterMs: readonly [number, number] = [0, 0];
  readonly #shared: Clock;

  constructor(inner: LedgerStore, shared: Clock) {
    this.#inner = inner;
    this.#shared = shared;
    this.clock = {
      epochMs: () => shared.epochMs(),
      monotonicMs: () => shared.monotonicMs(),
      sleep: async (delayMs, signal) => {
        await shared.sleep(delayMs, signal);
        await this.#stopped?.go;
      },
    };
  }

  get isStopped(): boolean {
    return this.#stopped !== null;
  }

  /** Every answer takes so long each way, so that a stop can fall between. */
  delay(thereMs: number, backMs: number): void {
    this.#afterMs = [thereMs, backMs];
  }

  stop(): void {
    if (this.#stopped) return;
    let resume = (): void => undefined;
    const go = new Promise<void>((resolve) => {
      resume = resolve;
    });
    this.#stopped = { go, resume };
  }

  /** Resolves when what had come over the network has been read, and then the timers that were due have run. */
  async continue(): Promise<void> {
    const stopped = this.#stopped;
    if (!stopped) return;
    this.#stopped = null;
    for (const read of this.#arrived.splice(0)) read();
    await new Promise<void>((resolve) => setImmediate(resolve));
    stopped.resume();
    await new Promise<void>((resolve) => setImmediate(resolve));
  }

  readonly store: LedgerStore = {
    exec: async (request: TurnRequest): Promise<TurnResult> => {
      const [thereMs, backMs] = this.#afterMs;
      // Sent is sent: it arrives whatever the process does meanwhile.
      if (thereMs > 0) await this.#shared.sleep(thereMs);
      const result = await this.#inner.exec(request);
      if (backMs > 0) await this.#shared.sleep(backMs);
      await this.#read();
      return result;
    },
    runId: async () => {
      const runId = await this.#inner.runId();
      await this.#read();
      return runId;
    },
    subscribe: (owner, news) => this.#inner.subscribe(owner, this.#wrapped(news)),
  };

  #read(): Promise<void> {
    if (!this.#stopped) return Promise.resolve();
    return new Promise((resolve) => this.#arrived.push(resolve));
  }

  #wrapped(news: LedgerNews): LedgerNews {
    const deliver = (read: () => void): void => {
      if (this.losesMail) return;
      if (this.#stopped) this.#arrived.push(read);
      else read();
    };
    return {
      onMail: (mail) => deliver(() => news.onMail(mail)),
      onHint: (hint) => deliver(() => news.onHint(hint)),
      onGap: () => deliver(() => news.onGap()),
    };
  }
}
