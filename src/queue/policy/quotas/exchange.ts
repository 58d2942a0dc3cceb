import {
  charge,
  forgetOld,
  giveBack,
  inUse,
  lease,
  type RateWindow,
  resetMs,
  slotOf,
  unitsFor,
  waitMs,
  type Wish,
} from './window.ts';

/** Units of both quotas; 0 for one that the tenant does not have. */
export interface Units {
  readonly requests: number;
  readonly tokens: number;
}

export interface RateLimits {
  /** A minute; null = no such quota. */
  readonly requests: number | null;
  readonly tokens: number | null;
}

export interface RateAsk {
  readonly limits: RateLimits;
  readonly requests: Wish;
  readonly tokens: Wish;
  /** What was leased in these seconds and was not used. Taken back before anything is granted. */
  readonly returns: readonly (Units & { readonly slot: number })[];
  /** Used beyond what was leased. */
  readonly debtTokens: number;
}

export interface RateUse {
  readonly used: number;
  readonly resetMs: number;
}

export interface RateReply {
  /** The second, by the store's clock, that the granted units were leased in. */
  readonly slot: number;
  /** Null = one of the needs did not fit, and nothing was leased. */
  readonly granted: Units | null;
  /** The limit that is waited for longest, when refused. */
  readonly refused: { readonly limit: 'requests' | 'tokens'; readonly afterMs: number } | null;
  /** After this exchange. */
  readonly requests: RateUse;
  readonly tokens: RateUse;
}

/** What is leased of one tenant's two quotas. */
export interface TenantWindows {
  readonly requests: RateWindow;
  readonly tokens: RateWindow;
}

type Answer =
  | { readonly kind: 'granted'; readonly units: number }
  | { readonly kind: 'refused'; readonly afterMs: number };

/** One exchange, in one step: the specification of the script in Redis. Changes the windows. */
export function exchange(windows: TenantWindows, ask: RateAsk, nowEpochMs: number): RateReply {
  const slot = slotOf(nowEpochMs);
  const { limits } = ask;
  forgetOld(windows.requests, slot);
  forgetOld(windows.tokens, slot);
  for (const back of ask.returns) {
    giveBack(windows.requests, back.slot, back.requests);
    giveBack(windows.tokens, back.slot, back.tokens);
  }
  if (limits.tokens !== null) charge(windows.tokens, slot, limits.tokens, ask.debtTokens);
  const requests = answer(windows.requests, ask.requests, limits.requests, nowEpochMs);
  const tokens = answer(windows.tokens, ask.tokens, limits.tokens, nowEpochMs);
  let granted: Units | null = null;
  if (requests.kind === 'granted' && tokens.kind === 'granted') {
    granted = { requests: requests.units, tokens: tokens.units };
    lease(windows.requests, slot, granted.requests);
    lease(windows.tokens, slot, granted.tokens);
  }
  const after = { requests: afterOf(requests), tokens: afterOf(tokens) };
  const limit = after.tokens > after.requests ? 'tokens' : 'requests';
  return {
    slot,
    granted,
    refused: granted ? null : { limit, afterMs: after[limit] },
    requests: useOf(windows.requests, nowEpochMs),
    tokens: useOf(windows.tokens, nowEpochMs),
  };
}

function answer(window: RateWindow, wish: Wish, limit: number | null, nowEpochMs: number): Answer {
  if (limit === null) return { kind: 'granted', units: 0 };
  const units = wish.need + wish.more + wish.ahead === 0 ? 0 : unitsFor(wish, limit, inUse(window));
  if (units !== null) return { kind: 'granted', units };
  return { kind: 'refused', afterMs: Math.max(1, waitMs(window, wish.need, limit, nowEpochMs)) };
}

function afterOf(given: Answer): number {
  return given.kind === 'refused' ? given.afterMs : 0;
}

function useOf(window: RateWindow, nowEpochMs: number): RateUse {
  return { used: inUse(window), resetMs: resetMs(window, nowEpochMs) };
}
