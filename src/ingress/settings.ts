/** Limits and time-outs of the public listener. Each is named in the error that it causes. */
export interface IngressSettings {
  /** Calls whose client waits on a connection, per process. */
  readonly maxHeldCalls: number;
  /** Bodies of held calls, reserved before they are read, per process. */
  readonly maxHeldBytes: number;
  readonly maxBodyBytes: number;
  /** Longest wait of a call without `stream` for a slot. */
  readonly maxHoldMs: number;
  /** Longest wait of a stream for a slot; its client sees comments meanwhile. */
  readonly maxStreamHoldMs: number;
  /** Longest silence of a model server within a stream, its first byte included. */
  readonly upstreamIdleTimeoutMs: number;
  /** Longest time from the slot to the last byte. */
  readonly upstreamTimeoutMs: number;
  /** A client that reads nothing for this long while an answer is ready for it is cut off. */
  readonly clientStallTimeoutMs: number;
  /** Names the endpoint that answered in `x-pilotlight-endpoint`. */
  readonly exposeEndpoint: boolean;
}

export const DEFAULT_INGRESS_SETTINGS: IngressSettings = {
  maxHeldCalls: 10_000,
  maxHeldBytes: 1_073_741_824,
  maxBodyBytes: 10_485_760,
  maxHoldMs: 600_000,
  maxStreamHoldMs: 3_600_000,
  upstreamIdleTimeoutMs: 120_000,
  upstreamTimeoutMs: 1_800_000,
  clientStallTimeoutMs: 60_000,
  exposeEndpoint: false,
};
