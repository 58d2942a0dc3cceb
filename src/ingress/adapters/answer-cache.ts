import { hash } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import type { TokenAnswer } from '../ports.ts';

export interface AnswerCacheOptions {
  /** An accepted answer is believed so long, but never beyond the token's own end. */
  readonly acceptedForMs: number;
  readonly refusedForMs: number;
  /** While nobody can be asked, an accepted answer is still given up to this age. Not below `acceptedForMs`. */
  readonly usableForMs: number;
  /** Beyond it the answer that was used longest ago is forgotten. */
  readonly maxEntries: number;
  /** Questions on their way at one time; further ones are answered "unavailable". */
  readonly maxAsking: number;
  readonly onAnswer?: (kind: TokenAnswer<unknown>['kind'] | 'stale') => void;
}

export const TOKEN_CACHE_OPTIONS: AnswerCacheOptions = {
  // A revoked token is refused after a minute at the latest; one question a minute for each caller is next to nothing.
  acceptedForMs: 60_000,
  refusedForMs: 10_000,
  // Longer than the restart of a control plane takes.
  usableForMs: 15 * 60_000,
  maxEntries: 10_000,
  maxAsking: 64,
};

/** After a question that nobody answered, the old answer is given for this long before it is asked again. */
const ASK_AGAIN_AFTER_MS = 5_000;

interface Entry<S> {
  readonly answer: Exclude<TokenAnswer<S>, { kind: 'unavailable' }>;
  freshUntilMs: number;
  readonly usableUntilMs: number;
}

/**
 * Answers about secrets, kept by the hash of their question. A fresh one is given at once, equal questions share one
 * answer, and while nobody can be asked an accepted one stays usable for a while. A wall clock that is set back prolongs no answer.
 */
export class AnswerCache<S> {
  readonly #clock: Clock;
  readonly #options: AnswerCacheOptions;
  /** In order of use. */
  readonly #entries = new Map<string, Entry<S>>();
  readonly #asking = new Map<string, Promise<TokenAnswer<S>>>();

  constructor(clock: Clock, options: AnswerCacheOptions) {
    this.#clock = clock;
    this.#options = options;
  }

  /** The answer for `question`, from `ask` if it is not known. `ask` must not reject. */
  answer(question: string, ask: () => Promise<TokenAnswer<S>>): TokenAnswer<S> | Promise<TokenAnswer<S>> {
    const key = hash('sha256', question, 'base64');
    const known = this.#usable(key);
    if (known && this.#clock.monotonicMs() < known.freshUntilMs) return known.answer;
    const asked = this.#asking.get(key);
    if (asked) return asked;
    if (this.#asking.size >= this.#options.maxAsking) {
      return this.#count(known?.answer ?? { kind: 'unavailable', why: 'too many tokens are being checked' }, 'stale');
    }
    const asking = ask().then((answer) => this.#learn(key, answer));
    this.#asking.set(key, asking);
    return asking;
  }

  get size(): number {
    return this.#entries.size;
  }

  #usable(key: string): Entry<S> | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    this.#entries.delete(key);
    if (this.#clock.monotonicMs() >= entry.usableUntilMs) return undefined;
    this.#entries.set(key, entry);
    return entry;
  }

  #learn(key: string, answer: TokenAnswer<S>): TokenAnswer<S> {
    this.#asking.delete(key);
    const nowMs = this.#clock.monotonicMs();
    if (answer.kind === 'unavailable') {
      const known = this.#usable(key);
      if (!known) return this.#count(answer, 'unavailable');
      known.freshUntilMs = Math.min(nowMs + ASK_AGAIN_AFTER_MS, known.usableUntilMs);
      return this.#count(known.answer, 'stale');
    }
    const { acceptedForMs, refusedForMs, usableForMs, maxEntries } = this.#options;
    const endsAtMs = nowMs + (answer.kind === 'accepted' ? this.#lifeMs(answer.expiresAtEpochMs) : refusedForMs);
    this.#entries.delete(key);
    this.#entries.set(key, {
      answer,
      freshUntilMs: Math.min(nowMs + acceptedForMs, endsAtMs),
      usableUntilMs: Math.min(nowMs + usableForMs, endsAtMs),
    });
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= maxEntries) break;
      this.#entries.delete(oldest);
    }
    return this.#count(answer, answer.kind);
  }

  #lifeMs(expiresAtEpochMs: number | null): number {
    return expiresAtEpochMs === null ? Infinity : expiresAtEpochMs - this.#clock.epochMs();
  }

  #count(answer: TokenAnswer<S>, kind: TokenAnswer<S>['kind'] | 'stale'): TokenAnswer<S> {
    this.#options.onAnswer?.(answer.kind === 'unavailable' ? 'unavailable' : kind);
    return answer;
  }
}
