/** What a tenant is entitled to, wherever its requests come in; the same in every process of an installation. */
export interface TenantTerms {
  /** Relative share among the tenants of one band, 1..1000. */
  readonly weight: number;
  readonly quotas: TenantQuotas;
}

/** Null = no limit of its own. */
export interface TenantQuotas {
  /** Requests, and tokens (estimated before, corrected after each), that may begin in a minute over all pools and replicas. */
  readonly requestsPerMinute: number | null;
  readonly tokensPerMinute: number | null;
  /** Requests that may hold a slot at one time, in each pool. */
  readonly maxConcurrency: number | null;
  /** Requests queued or stored in each pool, and their bytes. */
  readonly maxRequests: number | null;
  readonly maxBytes: number | null;
}

export const NO_QUOTAS: TenantQuotas = {
  requestsPerMinute: null,
  tokensPerMinute: null,
  maxConcurrency: null,
  maxRequests: null,
  maxBytes: null,
};

/** Where nobody has terms of his own. */
export const EQUAL_TENANTS: TenantDirectory = { termsOf: () => ({ weight: 1, quotas: NO_QUOTAS }) };

/** Terms of a tenant by name; a tenant that is not configured has weight 1 and no quotas, or those of anonymous callers. */
export interface TenantDirectory {
  termsOf(tenant: string): TenantTerms;
}

/** What was taken out of a tenant's quotas for one request. The first call of either counts, later ones do nothing. */
export interface QuotaGrant {
  /** The request used so many tokens in the end: the difference to the estimate is charged or comes back. */
  correct(actualTokens: number): void;
  /** The request was not run after all: everything comes back. */
  giveBack(): void;
}

/** `afterMs`: until the same request would pass, if nobody else asks. */
export type QuotaAnswer =
  | { readonly kind: 'granted'; readonly grant: QuotaGrant }
  | {
      readonly kind: 'refused';
      readonly limit: 'requestsPerMinute' | 'tokensPerMinute';
      readonly limitPerMinute: number;
      readonly afterMs: number;
    };

export interface QuotaState {
  readonly limitPerMinute: number;
  /** As far as this replica knows. */
  readonly remaining: number;
  /** Until it is full again. */
  readonly resetMs: number;
}

/**
 * Rates of tenants over all replicas of an installation. Each replica leases portions of what is left, so that most
 * requests ask nobody; together they grant at most the limit and one portion each.
 */
export interface RateQuotas {
  /**
   * Takes one request of so many tokens out of the tenant's quotas. A tenant without quotas costs nothing. Throws
   * `queue_unavailable` when nothing is leased and nobody can be asked, and the signal's reason when it aborts.
   */
  take(tenant: string, costTokens: number, signal: AbortSignal): Promise<QuotaAnswer>;
  /** For the x-ratelimit headers; null = no such quota. */
  state(tenant: string): { readonly requests: QuotaState | null; readonly tokens: QuotaState | null };
}
