/** One request of a load trace. */
export interface TraceRequest {
  /** Since the first moment of the trace; never falls from one request to the next. */
  readonly arrivalMs: number;
  /** Prompt length, at least 1. */
  readonly contextTokens: number;
  /** Answer length, at least 1. */
  readonly generatedTokens: number;
}
