/** Counts what tenants with quotas were told. */
export interface QuotaMeter {
  asked(tenant: string, answer: 'granted' | 'requestsPerMinute' | 'tokensPerMinute'): void;
}

export const silentQuotaMeter: QuotaMeter = { asked: () => undefined };
