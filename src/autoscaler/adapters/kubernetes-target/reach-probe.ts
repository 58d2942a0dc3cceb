import type { Clock } from '../../../core/clock.ts';

/** Whether the server behind a url answers at all. Bounded by the signal; a rejection counts as no. */
export type Probe = (url: string, signal: AbortSignal) => Promise<boolean>;

const EVERY_MS = 2_000;
const TIMEOUT_MS = 5_000;

/**
 * Asks each address that Kubernetes calls ready, until it has answered once: a mesh or a NetworkPolicy may hide it.
 * Later failures are not its business: the requests themselves notice those.
 */
export class ReachProbe {
  readonly #probe: Probe | null;
  readonly #clock: Clock;
  readonly #onAnswer: (uid: string) => void;
  readonly #asked = new Map<string, { readonly stop: AbortController; reached: boolean | null }>();

  constructor(probe: Probe | null, clock: Clock, onAnswer: (uid: string) => void) {
    this.#probe = probe;
    this.#clock = clock;
    this.#onAnswer = onAnswer;
  }

  /** Null = not asked, or no answer yet. */
  reached(uid: string): boolean | null {
    return this.#asked.get(uid)?.reached ?? null;
  }

  /** Begins to ask for that pod, unless it does so already. */
  ask(uid: string, url: string): void {
    if (this.#probe === null || this.#asked.has(uid)) return;
    const asked = { stop: new AbortController(), reached: null };
    this.#asked.set(uid, asked);
    void this.#run(uid, url, asked);
  }

  forget(uid: string): void {
    this.#asked.get(uid)?.stop.abort();
    this.#asked.delete(uid);
  }

  close(): void {
    for (const uid of [...this.#asked.keys()]) this.forget(uid);
  }

  async #run(uid: string, url: string, asked: { stop: AbortController; reached: boolean | null }): Promise<void> {
    const { signal } = asked.stop;
    while (this.#asked.get(uid) === asked && asked.reached !== true) {
      const reached = await this.#once(url, signal);
      if (this.#asked.get(uid) !== asked) return;
      const isNews = asked.reached !== reached;
      asked.reached = reached;
      if (isNews) this.#onAnswer(uid);
      if (!reached) await this.#clock.sleep(EVERY_MS, signal).catch(() => undefined);
    }
  }

  async #once(url: string, signal: AbortSignal): Promise<boolean> {
    const late = new AbortController();
    const timer = this.#clock.sleep(TIMEOUT_MS, AbortSignal.any([signal, late.signal])).then(
      () => late.abort(),
      () => undefined,
    );
    try {
      return (await this.#probe?.(url, AbortSignal.any([signal, late.signal]))) ?? false;
    } catch {
      return false;
    } finally {
      late.abort();
      await timer;
    }
  }
}
