import type { QuotaState, RateQuotas } from '../../core/tenants.ts';

/**
 * What is left of a tenant's rates, as the official OpenAI API tells it (platform.openai.com/docs/guides/rate-limits):
 * x-ratelimit-{limit,remaining,reset}-{requests,tokens}. Nothing about a quota that it does not have.
 */
export function rateHeaders({ requests, tokens }: ReturnType<RateQuotas['state']>): Record<string, string> {
  return { ...headersOf('requests', requests), ...headersOf('tokens', tokens) };
}

function headersOf(unit: 'requests' | 'tokens', state: QuotaState | null): Record<string, string> {
  if (!state) return {};
  return {
    [`x-ratelimit-limit-${unit}`]: String(state.limitPerMinute),
    [`x-ratelimit-remaining-${unit}`]: String(state.remaining),
    [`x-ratelimit-reset-${unit}`]: shortDuration(state.resetMs),
  };
}

/** As OpenAI writes durations: "0s", "250ms", "6.5s", "1m0s". */
function shortDuration(durationMs: number): string {
  const ms = Math.ceil(durationMs);
  if (ms > 0 && ms < 1_000) return `${ms}ms`;
  const minutes = Math.floor(ms / 60_000);
  const seconds = `${(ms - minutes * 60_000) / 1_000}s`;
  return minutes > 0 ? `${minutes}m${seconds}` : seconds;
}
