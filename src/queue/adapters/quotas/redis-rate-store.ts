import type { RedisClient } from '../../../platform/redis/connection.ts';
import { defineScript } from '../../../platform/redis/script.ts';
import type { RateAsk, RateReply } from '../../policy/quotas/exchange.ts';
import type { RateStore } from '../../quotas/ports.ts';

const exchangeScript = defineScript({
  files: [new URL('lua/exchange.lua', import.meta.url)],
  keys: ['requests', 'tokens'],
  args: [
    'requestLimit',
    'requestNeed',
    'requestMore',
    'requestAhead',
    'tokenLimit',
    'tokenNeed',
    'tokenMore',
    'tokenAhead',
    'debtTokens',
  ],
  parse: parseReply,
});

const NO_LIMIT = -1;

/**
 * Leases in Redis, by its clock: two small hashes for each tenant, "<prefix>:{<installation>/tenant/<tenant>}:rate-…", that
 * end by themselves a minute after their last use.
 */
export class RedisRateStore implements RateStore {
  readonly #client: RedisClient;
  readonly #prefix: string;
  readonly #installation: string;

  constructor(client: RedisClient, prefix: string, installation: string) {
    this.#client = client;
    this.#prefix = prefix;
    this.#installation = installation;
  }

  exchange(tenant: string, { limits, requests, tokens, returns, debtTokens }: RateAsk): Promise<RateReply> {
    // Braces and colons of a name must not become part of the hash tag.
    const root = `${this.#prefix}:{${this.#installation}/tenant/${encodeURIComponent(tenant)}}`;
    return exchangeScript(this.#client, {
      keys: { requests: `${root}:rate-requests`, tokens: `${root}:rate-tokens` },
      args: {
        requestLimit: limits.requests ?? NO_LIMIT,
        requestNeed: requests.need,
        requestMore: requests.more,
        requestAhead: requests.ahead,
        tokenLimit: limits.tokens ?? NO_LIMIT,
        tokenNeed: tokens.need,
        tokenMore: tokens.more,
        tokenAhead: tokens.ahead,
        debtTokens,
      },
      rest: returns.flatMap(({ slot, requests: ofRequests, tokens: ofTokens }) => [slot, ofRequests, ofTokens]),
    });
  }
}

function parseReply(reply: unknown): RateReply {
  const [slot, requests, tokens, refused, afterMs, usedRequests, resetRequests, usedTokens, resetTokens] = (
    reply as unknown[]
  ).map(Number) as [number, number, number, number, number, number, number, number, number];
  return {
    slot,
    granted: refused === 0 ? { requests, tokens } : null,
    refused: refused === 0 ? null : { limit: refused === 2 ? 'tokens' : 'requests', afterMs },
    requests: { used: usedRequests, resetMs: resetRequests },
    tokens: { used: usedTokens, resetMs: resetTokens },
  };
}
