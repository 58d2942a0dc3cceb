import { type ErrorCode, type ErrorDetails, PilotlightError } from './errors.ts';

/**
 * dispatched: it got a slot. rejected: it never entered the live order. evicted: it left the live order without a slot.
 * revoked: it had a slot, and lost it through no fault of the model server.
 */
export type FlowStage = 'dispatched' | 'rejected' | 'evicted' | 'revoked';

/**
 * What `Retry-After` is measured from. queue: a tenth of what stands before the caller, or the boot while nothing serves;
 * quota: the same request would pass then; fixed: a short time of its own, because another try may help at once; none: not sent.
 */
export type RetryAfterSource = 'queue' | 'quota' | 'fixed' | 'none';

/**
 * What the same event means for stored work. same: just that; refused: the submission is answered so;
 * handed_back: it waits in the backlog again, no attempt used; expired, cancelled: its outcome; never: it cannot happen to it.
 */
export type StoredFate = 'same' | 'refused' | 'handed_back' | 'expired' | 'cancelled' | 'never';

export interface FlowOutcome {
  readonly stage: FlowStage;
  /** Status, type and whether to retry follow from it. Null = the answer is the model server's. */
  readonly code: ErrorCode | null;
  /** Value of DROPPED_REASON_HEADER: llm-d's word where it has one, else ours in the same style. */
  readonly droppedReason: string | null;
  readonly retryAfter: RetryAfterSource;
  readonly stored: StoredFate;
  /** Outcome label of `inference_extension_flow_control_request_queue_duration_seconds`, in the words of its dashboards. */
  readonly theirs: string;
  /** One sentence for people. */
  readonly when: string;
}

export const DROPPED_REASON_HEADER = 'x-llm-d-request-dropped-reason';

/**
 * How a request leaves flow control; exactly one each. The names are metric labels. Words of other systems: llm-d's endpoint
 * picker v0.10, its drop reasons and outcome labels. Of several outcomes with one error code the first is what the code
 * alone means.
 */
export const FLOW_OUTCOMES = {
  dispatched: {
    stage: 'dispatched',
    code: null,
    droppedReason: null,
    retryAfter: 'none',
    stored: 'same',
    theirs: 'Dispatched',
    when: 'It got a slot. What the model server made of it is told by `pilotlight_dispatcher_calls_total`.',
  },
  rejected_pool_full: {
    stage: 'rejected',
    code: 'queue_full',
    droppedReason: 'rejected-saturated',
    retryAfter: 'queue',
    stored: 'refused',
    theirs: 'RejectedCapacity',
    when: 'The budget of the pool, in requests or bytes, is used up.',
  },
  rejected_objective_full: {
    stage: 'rejected',
    code: 'queue_full',
    droppedReason: 'rejected-saturated',
    retryAfter: 'queue',
    stored: 'refused',
    theirs: 'RejectedCapacity',
    when: 'The budget of its objective, in requests or bytes, is used up.',
  },
  rejected_tenant_full: {
    stage: 'rejected',
    code: 'tenant_queue_full',
    droppedReason: 'rejected-saturated',
    retryAfter: 'queue',
    stored: 'refused',
    theirs: 'RejectedCapacity',
    when: "The tenant's own budget in this pool is used up.",
  },
  rejected_shed: {
    stage: 'rejected',
    code: 'queue_shed',
    droppedReason: 'rejected-saturated',
    retryAfter: 'queue',
    stored: 'refused',
    theirs: 'RejectedCapacity',
    when: "The pool's budget is used to the percentage at which its objective gives way (`shedAtPercent`).",
  },
  rejected_no_capacity: {
    stage: 'rejected',
    code: 'no_capacity',
    droppedReason: 'rejected-no-endpoints',
    retryAfter: 'queue',
    stored: 'handed_back',
    theirs: 'RejectedNoEndpoints',
    when: 'No model server is ready and none can come: failing boots, no target, a pool that is gone.',
  },
  rejected_no_endpoints: {
    stage: 'rejected',
    code: 'no_capacity',
    droppedReason: 'rejected-no-endpoints',
    retryAfter: 'queue',
    stored: 'never',
    theirs: 'RejectedNoEndpoints',
    when: 'A budget is used up while no model server is ready: the pool sleeps or boots.',
  },
  rejected_paused: {
    stage: 'rejected',
    code: 'no_capacity',
    droppedReason: 'rejected-paused',
    retryAfter: 'queue',
    stored: 'refused',
    theirs: 'RejectedNoEndpoints',
    when: 'The pool is paused.',
  },
  rejected_rate: {
    stage: 'rejected',
    code: 'rate_limit_exceeded',
    droppedReason: 'rejected-rate-limited',
    retryAfter: 'quota',
    stored: 'handed_back',
    theirs: 'RejectedOther',
    when: 'The tenant began as many requests or tokens in this minute as it may.',
  },
  rejected_held_calls: {
    stage: 'rejected',
    code: 'held_calls_full',
    droppedReason: 'rejected-saturated',
    retryAfter: 'fixed',
    stored: 'refused',
    theirs: 'RejectedCapacity',
    when: 'As many clients wait at this replica as may (`limits.heldCalls`).',
  },
  rejected_held_bytes: {
    stage: 'rejected',
    code: 'held_bytes_full',
    droppedReason: 'rejected-saturated',
    retryAfter: 'fixed',
    stored: 'refused',
    theirs: 'RejectedCapacity',
    when: 'The bodies held by this replica fill their budget (`limits.heldBytes`).',
  },
  rejected_draining: {
    stage: 'rejected',
    code: 'draining',
    droppedReason: 'rejected-shutting-down',
    retryAfter: 'fixed',
    stored: 'refused',
    theirs: 'RejectedOther',
    when: 'This replica is shutting down and takes nothing new.',
  },
  rejected_queue_unavailable: {
    stage: 'rejected',
    code: 'queue_unavailable',
    droppedReason: 'rejected-queue-unavailable',
    retryAfter: 'fixed',
    stored: 'handed_back',
    theirs: 'RejectedOther',
    when: 'Redis cannot be reached.',
  },
  rejected_idempotency_conflict: {
    stage: 'rejected',
    code: 'idempotency_conflict',
    droppedReason: 'rejected-idempotency-conflict',
    retryAfter: 'none',
    stored: 'refused',
    theirs: 'RejectedOther',
    when: 'Its `Idempotency-Key` stands for another request.',
  },
  rejected_idempotency_in_progress: {
    stage: 'rejected',
    code: 'idempotency_in_progress',
    droppedReason: 'rejected-idempotency-in-progress',
    retryAfter: 'fixed',
    stored: 'refused',
    theirs: 'RejectedOther',
    when: 'The request with its `Idempotency-Key` still runs, or is being accepted.',
  },
  rejected_store_unavailable: {
    stage: 'rejected',
    code: 'store_unavailable',
    droppedReason: 'rejected-store-unavailable',
    retryAfter: 'queue',
    stored: 'refused',
    theirs: 'RejectedOther',
    when: 'A job that could not be made durable.',
  },
  rejected_store_full: {
    stage: 'rejected',
    code: 'store_full',
    droppedReason: 'rejected-store-full',
    retryAfter: 'none',
    stored: 'refused',
    theirs: 'RejectedOther',
    when: 'A job for which the store has no room.',
  },
  rejected_accept_unknown: {
    stage: 'rejected',
    code: 'accept_unknown',
    droppedReason: 'rejected-accept-unknown',
    retryAfter: 'fixed',
    stored: 'refused',
    theirs: 'RejectedOther',
    when: 'A job that may have been accepted: Redis was lost in between.',
  },
  evicted_ttl: {
    stage: 'evicted',
    code: 'queue_ttl_exceeded',
    droppedReason: 'rejected-ttl-expired',
    retryAfter: 'queue',
    stored: 'never',
    theirs: 'EvictedTTL',
    when: 'It waited as long as it may, while model servers were ready.',
  },
  evicted_ttl_no_capacity: {
    stage: 'evicted',
    code: 'no_capacity',
    droppedReason: 'rejected-no-endpoints',
    retryAfter: 'queue',
    stored: 'never',
    theirs: 'EvictedNoEndpoints',
    when: 'It waited as long as it may, and no model server is ready.',
  },
  evicted_deadline: {
    stage: 'evicted',
    code: 'deadline_exceeded',
    droppedReason: 'rejected-ttl-expired',
    retryAfter: 'none',
    stored: 'expired',
    theirs: 'EvictedTTL',
    when: 'The deadline of the job, or of the batch of the row, has passed.',
  },
  evicted_max_hold: {
    stage: 'evicted',
    code: 'max_hold_exceeded',
    droppedReason: 'rejected-ttl-expired',
    retryAfter: 'queue',
    stored: 'never',
    theirs: 'EvictedTTL',
    when: 'Its connection was held as long as may be (`timeouts.maxHold`, `timeouts.maxStreamHold`).',
  },
  evicted_displaced: {
    stage: 'evicted',
    code: 'evicted_displaced',
    droppedReason: 'evicted-queue-pressure',
    retryAfter: 'queue',
    stored: 'handed_back',
    theirs: 'EvictedOther',
    when: 'The budget was full and work of a higher band came.',
  },
  evicted_cancelled: {
    stage: 'evicted',
    code: 'request_cancelled',
    droppedReason: 'rejected-context-cancelled',
    retryAfter: 'none',
    stored: 'cancelled',
    theirs: 'EvictedContextCancelled',
    when: 'Its client left, or the job was cancelled.',
  },
  evicted_draining: {
    stage: 'evicted',
    code: 'draining',
    droppedReason: 'rejected-shutting-down',
    retryAfter: 'fixed',
    stored: 'handed_back',
    theirs: 'EvictedOther',
    when: 'Its replica had to stop before its turn came.',
  },
  evicted_lost: {
    stage: 'evicted',
    code: 'lease_lost',
    droppedReason: 'evicted',
    retryAfter: 'queue',
    stored: 'handed_back',
    theirs: 'EvictedOther',
    when: 'The ledger lost track of it: its replica was silent for too long.',
  },
  revoked_lost: {
    stage: 'revoked',
    code: 'lease_lost',
    droppedReason: 'evicted',
    retryAfter: 'queue',
    stored: 'handed_back',
    theirs: 'Dispatched',
    when: 'Its replica could no longer prove that it owns the slot, and stopped the call.',
  },
  revoked_draining: {
    stage: 'revoked',
    code: 'draining',
    droppedReason: 'rejected-shutting-down',
    retryAfter: 'fixed',
    stored: 'handed_back',
    theirs: 'Dispatched',
    when: 'Its replica had to stop before the answer was complete.',
  },
} as const satisfies Record<string, FlowOutcome>;

export type FlowOutcomeName = keyof typeof FLOW_OUTCOMES;

export const FLOW_OUTCOME_NAMES = Object.keys(FLOW_OUTCOMES) as readonly FlowOutcomeName[];

/** Counted by every part in which a request can leave; one series set for all of them. */
export const FLOW_OUTCOMES_METRIC = {
  name: 'pilotlight_flow_outcomes_total',
  help: 'Requests that left flow control, by outcome of docs/outcomes.md; pool and objective "none" before they are known.',
  labelNames: ['pool', 'objective', 'outcome'],
} as const;

/** The error of a request that leaves flow control without an answer. */
export class FlowError extends PilotlightError {
  readonly flow: FlowOutcomeName;

  /** Throws for an outcome that has no error. */
  constructor(flow: FlowOutcomeName, message: string, details: ErrorDetails = {}) {
    const { code } = FLOW_OUTCOMES[flow];
    if (code === null) throw new Error(`${flow} is no error`);
    super(code, message, details);
    this.flow = flow;
  }
}

const BY_CODE = new Map<ErrorCode | null, FlowOutcomeName>();
for (const name of FLOW_OUTCOME_NAMES) {
  const { code } = FLOW_OUTCOMES[name];
  if (!BY_CODE.has(code)) BY_CODE.set(code, name);
}

/** How a request that ended with this error left flow control; null = the error is not flow control's. */
export function flowOutcomeOf(error: PilotlightError): FlowOutcomeName | null {
  return error instanceof FlowError ? error.flow : (BY_CODE.get(error.code) ?? null);
}
