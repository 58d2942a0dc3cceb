import type { Clock } from '../../../core/clock.ts';
import { exchange, type RateAsk, type RateReply, type TenantWindows } from '../../policy/quotas/exchange.ts';
import { forgetOld, slotOf } from '../../policy/quotas/window.ts';
import type { RateStore } from '../../quotas/ports.ts';

/** So many tenants are looked through for idle ones at each newcomer. */
const LOOKED_AT = 8;

/** Leases of one process without Redis. Tenants that used nothing for a minute are forgotten. */
export class MemoryRateStore implements RateStore {
  readonly #clock: Pick<Clock, 'epochMs'>;
  /** Least recently asked for first. */
  readonly #tenants = new Map<string, TenantWindows>();

  constructor(clock: Pick<Clock, 'epochMs'>) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#tenants.size;
  }

  exchange(tenant: string, ask: RateAsk): Promise<RateReply> {
    const nowEpochMs = this.#clock.epochMs();
    const windows = this.#tenants.get(tenant) ?? { requests: new Map(), tokens: new Map() };
    this.#tenants.delete(tenant);
    this.#forgetIdle(slotOf(nowEpochMs));
    this.#tenants.set(tenant, windows);
    return Promise.resolve(exchange(windows, ask, nowEpochMs));
  }

  #forgetIdle(nowSlot: number): void {
    let left = LOOKED_AT;
    for (const [tenant, { requests, tokens }] of this.#tenants) {
      forgetOld(requests, nowSlot);
      forgetOld(tokens, nowSlot);
      left -= 1;
      if (requests.size + tokens.size > 0 || left === 0) return;
      this.#tenants.delete(tenant);
    }
  }
}
