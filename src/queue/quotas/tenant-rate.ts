import type { Clock } from '../../core/clock.ts';
import { PilotlightError } from '../../core/errors.ts';
import type { QuotaAnswer, QuotaGrant, QuotaState } from '../../core/tenants.ts';
import { afterUse, mostAhead, NO_USE, type RecentUse, unitsAhead } from '../policy/quotas/portion.ts';
import { Holding, type Lot } from './holding.ts';
import type { RateAsk, RateLimits, RateReply, RateUse, Units } from '../policy/quotas/exchange.ts';
import type { RateStore } from './ports.ts';

/** Leased units that nobody used go back after so long. */
export const LAPSE_MS = 2_000;
/** A refusal stands for so long without asking again: others may give back meanwhile. */
const REFUSAL_STANDS_MS = 100;
const RETRY_AFTER_MS = 2_000;
const FRESH_MS = 1_000;
const NOTHING: Units = { requests: 0, tokens: 0 };
const NO_WISH = { need: 0, more: 0, ahead: 0 };

export interface TenantRateDeps {
  readonly store: RateStore;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  /** As they are now. */
  readonly limits: () => RateLimits;
}

interface Waiter {
  readonly cost: number;
  readonly resolve: (answer: QuotaAnswer) => void;
  readonly reject: (error: Error) => void;
}

interface Refusal {
  readonly answer: Extract<QuotaAnswer, { kind: 'refused' }>;
  readonly atMs: number;
  readonly cost: number;
}

interface Known {
  readonly requests: RateUse;
  readonly tokens: RateUse;
  readonly atMs: number;
}

/**
 * One tenant's quotas in one replica. Requests are answered in the order in which they came: from what is leased, else
 * after one exchange with the store for all that wait.
 */
export class TenantRate {
  readonly #tenant: string;
  readonly #deps: TenantRateDeps;
  readonly #held = new Holding();
  readonly #waiters: Waiter[] = [];
  #debtTokens = 0;
  #recent: { readonly requests: RecentUse; readonly tokens: RecentUse } = { requests: NO_USE, tokens: NO_USE };
  #refusal: Refusal | null = null;
  #known: Known | null = null;
  #isAsking = false;
  #wantsNews = false;

  constructor(tenant: string, deps: TenantRateDeps) {
    this.#tenant = tenant;
    this.#deps = deps;
  }

  /** Nothing is under way and nothing has to be told: it may be forgotten. */
  get isIdle(): boolean {
    return !this.#isAsking && this.#waiters.length === 0 && this.#held.isEmpty && this.#debtTokens === 0;
  }

  take(costTokens: number, signal: AbortSignal): Promise<QuotaAnswer> {
    const cost = Math.max(0, Math.ceil(costTokens));
    const quick = this.#waiters.length === 0 ? this.#decide(cost) : null;
    if (quick) return Promise.resolve(quick);
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        const at = this.#waiters.indexOf(waiter);
        if (at >= 0) this.#waiters.splice(at, 1);
        reject(signal.reason as Error);
      };
      const done = <T>(then: (value: T) => void): ((value: T) => void) => {
        return (value) => {
          signal.removeEventListener('abort', leave);
          then(value);
        };
      };
      const waiter: Waiter = { cost, resolve: done(resolve), reject: done(reject) };
      signal.addEventListener('abort', leave, { once: true });
      this.#waiters.push(waiter);
      void this.#pump();
    });
  }

  /** As last heard; what is older than a second is looked up for the next time. */
  state(): { readonly requests: QuotaState | null; readonly tokens: QuotaState | null } {
    const { nowMs, limits } = this.#now();
    const { requests, tokens } = limits;
    if (nowMs - (this.#known?.atMs ?? Number.NEGATIVE_INFINITY) >= FRESH_MS) this.#wantsNews = true;
    return {
      requests: requests === null ? null : this.#stateOf(requests, 'requests'),
      tokens: tokens === null ? null : this.#stateOf(tokens, 'tokens'),
    };
  }

  /** Gives back what nobody uses, and tells corrections. To be called a few times a second. */
  async tick(): Promise<void> {
    this.#trim(LAPSE_MS);
    if (this.#isAsking || this.#waiters.length > 0 || !this.#hasNews()) return;
    await this.#exchange(NO_WISH, NO_WISH).catch(() => undefined);
    if (this.#waiters.length > 0) void this.#pump();
  }

  /** Gives back all that is held, once. */
  async close(): Promise<void> {
    this.#trim(0);
    if (this.#hasNews()) await this.#exchange(NO_WISH, NO_WISH).catch(() => undefined);
  }

  async #pump(): Promise<void> {
    if (this.#isAsking) return;
    for (let first = this.#waiters[0]; first; first = this.#waiters[0]) {
      const known = this.#decide(first.cost);
      if (known) {
        this.#waiters.shift();
        first.resolve(known);
        continue;
      }
      try {
        await this.#ask(first.cost);
      } catch (error) {
        const text = `The quotas of tenant '${this.#tenant}' cannot be looked up: Redis does not answer. Try again.`;
        const away = new PilotlightError('queue_unavailable', text, { cause: error, retryAfterMs: RETRY_AFTER_MS });
        for (const waiter of this.#waiters.splice(0)) waiter.reject(away);
      }
    }
    this.#trim(LAPSE_MS);
  }

  /** Without asking anybody; null = somebody has to be asked. */
  #decide(cost: number): QuotaAnswer | null {
    const { nowMs, limits } = this.#now();
    const wanted = { requests: limits.requests === null ? 0 : 1, tokens: limits.tokens === null ? 0 : cost };
    if (this.#held.requests >= wanted.requests && this.#held.tokens >= wanted.tokens) {
      this.#recent = {
        requests: afterUse(this.#recent.requests, wanted.requests, nowMs),
        tokens: afterUse(this.#recent.tokens, wanted.tokens, nowMs),
      };
      return { kind: 'granted', grant: this.#grant(wanted, this.#held.use(wanted)) };
    }
    const refusal = this.#refusal;
    if (!refusal || nowMs - refusal.atMs >= REFUSAL_STANDS_MS || cost < refusal.cost) return null;
    const afterMs = Math.max(1, refusal.answer.afterMs - (nowMs - refusal.atMs));
    return { ...refusal.answer, afterMs };
  }

  async #ask(cost: number): Promise<void> {
    const { nowMs, limits } = this.#now();
    const { requests: heldRequests, tokens: heldTokens } = this.#held;
    const others = this.#waiters.slice(1);
    const wish = (limit: number | null, need: number, more: number, recent: RecentUse) =>
      limit === null ? NO_WISH : { need, more, ahead: unitsAhead(recent, limit, nowMs) };
    const tokensOfOthers = others.reduce((sum, waiter) => sum + waiter.cost, 0);
    const requests = wish(limits.requests, Math.max(0, 1 - heldRequests), others.length, this.#recent.requests);
    const tokens = wish(limits.tokens, Math.max(0, cost - heldTokens), tokensOfOthers, this.#recent.tokens);
    const reply = await this.#exchange(requests, tokens);
    if (!reply.refused) {
      this.#refusal = null;
      return;
    }
    const limit = reply.refused.limit === 'requests' ? 'requestsPerMinute' : 'tokensPerMinute';
    const limitPerMinute = limits[reply.refused.limit] ?? 0;
    const answer = { kind: 'refused', limit, limitPerMinute, afterMs: reply.refused.afterMs } as const;
    this.#refusal = { answer, cost, atMs: this.#deps.clock.monotonicMs() };
  }

  /** What goes back and what is owed is told once: of a lost answer nobody knows whether it counted. */
  async #exchange(requests: RateAsk['requests'], tokens: RateAsk['tokens']): Promise<RateReply> {
    const { limits } = this.#now();
    const debtTokens = Math.min(this.#debtTokens, limits.tokens ?? 0);
    this.#debtTokens = 0;
    this.#isAsking = true;
    this.#wantsNews = false;
    try {
      const returns = this.#held.takeReturns();
      const reply = await this.#deps.store.exchange(this.#tenant, { limits, requests, tokens, returns, debtTokens });
      const atMs = this.#deps.clock.monotonicMs();
      this.#known = { requests: reply.requests, tokens: reply.tokens, atMs };
      this.#held.add({ ...(reply.granted ?? NOTHING), slot: reply.slot, atMs });
      return reply;
    } finally {
      this.#isAsking = false;
    }
  }

  #grant(taken: Units, parts: readonly Lot[]): QuotaGrant {
    let isOver = false;
    const once = (end: () => void): void => {
      if (!isOver) end();
      isOver = true;
    };
    return {
      correct: (actualTokens) =>
        once(() => {
          if (taken.tokens === 0) return;
          const more = Math.ceil(actualTokens) - taken.tokens;
          if (more > 0) this.#owe(more);
          else this.#held.giveBack(parts, { requests: 0, tokens: -more }, this.#now().nowMs);
        }),
      giveBack: () => once(() => this.#held.giveBack(parts, taken, this.#now().nowMs)),
    };
  }

  #owe(tokens: number): void {
    this.#debtTokens = Math.min(this.#debtTokens + tokens, this.#now().limits.tokens ?? 0);
  }

  #trim(keptMs: number): void {
    if (this.#waiters.length > 0) return;
    const { nowMs, limits } = this.#now();
    const most = { requests: mostAhead(limits.requests ?? 0), tokens: mostAhead(limits.tokens ?? 0) };
    this.#held.trim(most, nowMs - keptMs, nowMs);
  }

  #hasNews(): boolean {
    return this.#held.hasReturns || this.#debtTokens > 0 || this.#wantsNews;
  }

  #stateOf(limitPerMinute: number, of: 'requests' | 'tokens'): QuotaState {
    const known = this.#known;
    const passedMs = known ? this.#now().nowMs - known.atMs : 0;
    const resetMs = Math.max(0, (known?.[of].resetMs ?? 0) - passedMs);
    const used = known && resetMs > 0 ? known[of].used - this.#held[of] : 0;
    return { limitPerMinute, remaining: Math.max(0, limitPerMinute - used), resetMs };
  }

  #now(): { readonly nowMs: number; readonly limits: RateLimits } {
    return { nowMs: this.#deps.clock.monotonicMs(), limits: this.#deps.limits() };
  }
}
