import type { RateAsk, RateReply } from '../policy/quotas/exchange.ts';

/**
 * What all replicas together have leased of each tenant's quotas; one step each. Rejects with what its database says when
 * that cannot be reached; then it may have been done or not.
 */
export interface RateStore {
  exchange(tenant: string, ask: RateAsk): Promise<RateReply>;
}
