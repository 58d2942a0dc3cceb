import { FlowError } from '../../core/flow-outcomes.ts';
import type { KeyUse, RequestKeys } from '../../core/idempotency.ts';
import type { Exchange } from '../exchange.ts';
import { repetitionOf } from '../policy/repetition.ts';

const BUSY_RETRY_AFTER_MS = 2_000;

/**
 * What the caller's key is used for here; null = it sent none. `way` keeps a key of a job from standing for a call. Throws for
 * a key that cannot be one.
 */
export function keyUseOf(
  keys: Pick<RequestKeys, 'hashOf'>,
  { identity, headers }: Pick<Exchange, 'identity' | 'headers'>,
  way: 'call' | 'job' | 'response',
  parts: () => readonly (string | Uint8Array)[],
): KeyUse | null {
  const { key } = repetitionOf(headers);
  if (key === null) return null;
  return { tenant: identity.tenant, keyHash: keys.hashOf([key]), requestHash: keys.hashOf([way, ...parts()]) };
}

export function keyConflict(): FlowError {
  const text =
    'This Idempotency-Key stands for another request. Send the same body to the same path again, or use a new key.';
  return new FlowError('rejected_idempotency_conflict', text, { param: 'Idempotency-Key' });
}

export function keyInProgress(): FlowError {
  const text = 'A request with this Idempotency-Key is still being accepted or runs. Ask again in a moment.';
  const details = { param: 'Idempotency-Key', retryAfterMs: BUSY_RETRY_AFTER_MS };
  return new FlowError('rejected_idempotency_in_progress', text, details);
}
