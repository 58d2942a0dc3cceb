import type { Usage } from './call.ts';
import type { ErrorCode } from './errors.ts';

/**
 * How an accepted request ended; exactly one each. `completed` = the engine answered (its own 4xx included: the
 * request was executed and refused by the model server, `httpStatus` tells). The words are metric labels too.
 */
export const OUTCOME_KINDS = ['completed', 'failed', 'cancelled', 'expired'] as const;
export type OutcomeKind = (typeof OUTCOME_KINDS)[number];

export interface Outcome {
  readonly kind: OutcomeKind;
  /** Status the caller gets with the result. */
  readonly httpStatus: number;
  /** Why, when not a plain success. */
  readonly code: ErrorCode | null;
  readonly attempts: number;
  readonly usage: Usage | null;
  /**
   * Of a stream whose usage nobody told, which is the rule where callers do not ask for it and whenever one breaks off: the
   * estimated prompt, and the tokens that came. Absent = nothing came, or the usage is known.
   */
  readonly seenTokens?: number;
}
