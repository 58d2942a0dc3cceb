import type { Config } from '../config/config.ts';
import type { IngressSettings } from '../ingress/settings.ts';

/** The ingress's settings as the configuration says. */
export function ingressSettings({ limits, timeouts, server }: Config): IngressSettings {
  return {
    maxHeldCalls: limits.heldCalls,
    maxHeldBytes: limits.heldBytes,
    maxBodyBytes: limits.bodyBytes,
    maxHoldMs: timeouts.maxHoldMs,
    maxStreamHoldMs: timeouts.maxStreamHoldMs,
    upstreamIdleTimeoutMs: timeouts.idleMs,
    upstreamTimeoutMs: timeouts.overallMs,
    clientStallTimeoutMs: timeouts.clientStallMs,
    exposeEndpoint: server.exposeEndpoint,
  };
}
