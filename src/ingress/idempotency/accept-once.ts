import { asError, PilotlightError } from '../../core/errors.ts';
import { FlowError } from '../../core/flow-outcomes.ts';
import type { BoundKey, ClaimEnd, KeyClaim, KeyUse } from '../../core/idempotency.ts';
import type { JobView, SubmitAnswer } from '../../core/jobs.ts';
import { countRefusal, type Exchange, type HandlerDeps } from '../exchange.ts';
import { keyConflict, keyInProgress } from './key-use.ts';

/** What a job is accepted as: `bound` and the id go into its spec, `isRepeated` into the submission. */
export interface Acceptance {
  readonly id: string;
  readonly bound: BoundKey | null;
  readonly isRepeated: boolean;
}

export type OnceAnswer =
  /** `isReplay`: an earlier request of the same key made it. */
  | { readonly kind: 'accepted'; readonly view: JobView; readonly isReplay: boolean }
  | { readonly kind: 'rejected'; readonly error: PilotlightError };

type OnceDeps = Pick<HandlerDeps, 'keys' | 'jobs' | 'log' | 'metrics'>;

/**
 * Accepts a job for its key at most once. A try that broke off somewhere is gone on with under its own id, so whatever it
 * left is the same job. What `accept` throws passes through. Without a key it only accepts.
 */
export async function acceptOnce(
  deps: OnceDeps,
  { identity: { tenant } }: Pick<Exchange, 'identity'>,
  { use, newId }: { readonly use: KeyUse | null; readonly newId: string },
  accept: (as: Acceptance) => Promise<SubmitAnswer>,
): Promise<OnceAnswer> {
  if (!use) return isNew(await accept({ id: newId, bound: null, isRepeated: false }));
  const claim = await claimed(deps, use, newId);
  if (claim instanceof PilotlightError) return refused(deps, claim);
  switch (claim.kind) {
    case 'conflict':
      return refused(deps, keyConflict());
    case 'busy':
      return refused(deps, keyInProgress());
    case 'accepted': {
      const view = await deps.jobs.get(claim.id, tenant);
      return view ? { kind: 'accepted', view, isReplay: true } : refused(deps, jobGone());
    }
    case 'mine':
      return acceptClaimed(deps, { use, id: claim.id, isRepeated: claim.isRepeated }, accept);
  }
}

async function claimed({ jobs, keys }: OnceDeps, use: KeyUse, newId: string): Promise<KeyClaim | PilotlightError> {
  try {
    // Throws while jobs are looked up in vain because Redis is being rebuilt: keys may be missing then too.
    await jobs.get(newId, use.tenant);
    return await keys.claimJob(use, newId);
  } catch (thrown) {
    if (thrown instanceof PilotlightError) return thrown;
    throw thrown;
  }
}

interface Claimed {
  readonly use: KeyUse;
  readonly id: string;
  readonly isRepeated: boolean;
}

async function acceptClaimed(
  deps: OnceDeps,
  { use, id, isRepeated }: Claimed,
  accept: (as: Acceptance) => Promise<SubmitAnswer>,
): Promise<OnceAnswer> {
  let end: ClaimEnd = 'unknown';
  try {
    const known = isRepeated ? await deps.jobs.get(id, use.tenant) : null;
    if (known) {
      end = 'accepted';
      return { kind: 'accepted', view: known, isReplay: true };
    }
    const { keyHash, requestHash } = use;
    // Never taken back, because the next try has the same id.
    const answer = await accept({ id, bound: { keyHash, requestHash }, isRepeated: true });
    if (answer.kind === 'accepted') end = 'accepted';
    else if (!isRepeated && leftNothing(answer.error)) end = 'refused';
    return isNew(answer);
  } finally {
    await deps.keys.endJob(use, id, end).catch((thrown: unknown) => {
      // The claim lapses; the next try finds the job by its id.
      deps.log.warn({ jobId: id, problem: asError(thrown).message }, 'idempotency.claim_not_ended');
    });
  }
}

/** Refused before anything was written. */
function leftNothing({ httpStatus, code }: PilotlightError): boolean {
  return httpStatus < 500 || code === 'no_capacity';
}

function isNew(answer: SubmitAnswer): OnceAnswer {
  return answer.kind === 'accepted' ? { ...answer, isReplay: false } : answer;
}

function refused({ metrics }: OnceDeps, error: PilotlightError): OnceAnswer {
  countRefusal(metrics, error);
  return { kind: 'rejected', error };
}

function jobGone(): FlowError {
  const text =
    'What this Idempotency-Key stands for was accepted and is no longer kept. Use a new key to run the request again.';
  return new FlowError('rejected_idempotency_conflict', text, { param: 'Idempotency-Key' });
}
