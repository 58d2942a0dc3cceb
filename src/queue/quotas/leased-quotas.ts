import type { Clock } from '../../core/clock.ts';
import type { QuotaAnswer, QuotaGrant, RateQuotas, TenantDirectory } from '../../core/tenants.ts';
import type { RateLimits } from '../policy/quotas/exchange.ts';
import type { RateStore } from './ports.ts';
import { TenantRate } from './tenant-rate.ts';
import { type QuotaMeter, silentQuotaMeter } from './meter.ts';

export interface LeasedQuotasDeps {
  readonly store: RateStore;
  /** Asked at every request: limits that change act at once. */
  readonly tenants: TenantDirectory;
  readonly clock: Clock;
  readonly meter?: QuotaMeter;
  /** Tenants of which something is remembered; beyond it the one that asked longest ago is forgotten. Default 10,000. */
  readonly maxTenants?: number;
}

const MAX_TENANTS = 10_000;
const TICK_MS = 250;

const FREE: QuotaGrant = { correct: () => undefined, giveBack: () => undefined };
const GRANTED: QuotaAnswer = { kind: 'granted', grant: FREE };

/**
 * Rates of tenants over all replicas of one store. In any 60 seconds at most the limit is granted, and what each replica
 * had leased ahead before: at most a 32nd of the limit each, nothing below 32 a minute. What a replica leased and did not
 * use goes back within three seconds; that of one that died counts for a minute.
 */
export class LeasedQuotas implements RateQuotas {
  readonly #deps: LeasedQuotasDeps;
  readonly #meter: QuotaMeter;
  /** Least recently asked first; only tenants with quotas. */
  readonly #rates = new Map<string, TenantRate>();
  readonly #stop = new AbortController();
  #loop: Promise<void> | null = null;

  constructor(deps: LeasedQuotasDeps) {
    this.#deps = deps;
    this.#meter = deps.meter ?? silentQuotaMeter;
  }

  async take(tenant: string, costTokens: number, signal: AbortSignal): Promise<QuotaAnswer> {
    signal.throwIfAborted();
    const { requests, tokens } = this.#limitsOf(tenant);
    if (requests === null && tokens === null) return GRANTED;
    this.#start();
    const answer = await this.#rateOf(tenant).take(costTokens, signal);
    this.#meter.asked(tenant, answer.kind === 'granted' ? 'granted' : answer.limit);
    return answer;
  }

  state(tenant: string): ReturnType<RateQuotas['state']> {
    const { requests, tokens } = this.#limitsOf(tenant);
    if (requests === null && tokens === null) return { requests: null, tokens: null };
    this.#start();
    return this.#rateOf(tenant).state();
  }

  /** Tenants of which something is remembered. */
  get remembered(): number {
    return this.#rates.size;
  }

  /** Gives back what is leased, as far as the store answers. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
    await Promise.all([...this.#rates.values()].map((rate) => rate.close()));
  }

  #start(): void {
    this.#loop ??= this.#tickUntilStopped();
  }

  #limitsOf(tenant: string): RateLimits {
    const { quotas } = this.#deps.tenants.termsOf(tenant);
    return { requests: quotas.requestsPerMinute, tokens: quotas.tokensPerMinute };
  }

  #rateOf(tenant: string): TenantRate {
    const rate = this.#rates.get(tenant) ?? this.#newRate(tenant);
    this.#rates.delete(tenant);
    this.#rates.set(tenant, rate);
    const [oldest] = this.#rates.keys();
    // What it had leased counts as used for a minute.
    if (this.#rates.size > (this.#deps.maxTenants ?? MAX_TENANTS) && oldest !== undefined) this.#rates.delete(oldest);
    return rate;
  }

  #newRate(tenant: string): TenantRate {
    const { store, clock } = this.#deps;
    return new TenantRate(tenant, { store, clock, limits: () => this.#limitsOf(tenant) });
  }

  async #tickUntilStopped(): Promise<void> {
    try {
      for (;;) {
        await this.#deps.clock.sleep(TICK_MS, this.#stop.signal);
        await Promise.all([...this.#rates.values()].map((rate) => rate.tick()));
      }
    } catch {
      // Stopped; a tick does not throw.
    }
  }
}
