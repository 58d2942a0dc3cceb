import type { ApiPath } from './call.ts';
import type { PilotlightError } from './errors.ts';
import type { BoundKey } from './idempotency.ts';
import type { PoolKey } from './objects.ts';
import type { Outcome } from './outcome.ts';

/** A stored request with an id. What was accepted is durable before its 202. */
export interface JobSpec {
  readonly id: string;
  readonly tenant: string;
  readonly pool: PoolKey;
  readonly objective: string;
  readonly path: ApiPath;
  readonly model: string;
  readonly servedModel: string;
  readonly adapter: string | null;
  readonly inputTokens: number;
  readonly maxOutputTokens: number | null;
  readonly acceptedAtEpochMs: number;
  /** Unfinished then: `expired`. Null = none. */
  readonly deadlineEpochMs: number | null;
  /** Who is told when it ends, in the same step as its outcome; absent = nobody. */
  readonly announce?: JobAnnouncement;
  /** Its answer is also streamed to whoever looks on while it runs; needs `stream: true` in its body. */
  readonly streamed?: boolean;
  /** The key that its submitter gave it; absent = none. */
  readonly idempotency?: BoundKey;
  /** The job that failed and was accepted again as this one, by an operator. */
  readonly retryOf?: string;
}

/** What happens when a job has ended: at least once, also after a crash. */
export type JobAnnouncement =
  /** A webhook notice: `response.*` for a background response, `pilotlight.job.ended` for other jobs. */
  | { readonly kind: 'webhook' }
  /** A message on a results queue. */
  | SqsAnnouncement;

/** Everything that a result on a queue repeats of the request, so that whoever sends it needs no more than this. */
export interface SqsAnnouncement {
  readonly kind: 'sqs';
  /** The entry of `sqs.queues` that the request came in by. */
  readonly source: string;
  readonly queueUrl: string;
  readonly correlationId: string;
  /** Of the request; the result has the same. */
  readonly format: string;
  /** The requester's own name for it; null = none. */
  readonly customId: string | null;
  /** JSON that goes back as it came; null = none. */
  readonly metadata: string | null;
  readonly messageId: string;
  /** Of a FIFO queue. */
  readonly groupId: string | null;
}

/** Told of every job that ends and has an announcement. A rejection is tried again later. */
export type JobEndListener = (view: JobView, announcement: JobAnnouncement) => Promise<void>;

export type JobStatus = 'queued' | 'running' | OutcomeStatus;
type OutcomeStatus = 'completed' | 'failed' | 'cancelled' | 'expired';

/** A job as its owner may see it. */
export interface JobView {
  readonly spec: JobSpec;
  readonly status: JobStatus;
  readonly outcome: Outcome | null;
  readonly finishedAtEpochMs: number | null;
  /** After this the result is gone. Null while unfinished. */
  readonly resultExpiresAtEpochMs: number | null;
  /** Requests before it in its pool's order, 0 = next; absent when nobody knows (not in the live order, or running). */
  readonly position?: number;
  /** Of a failed job: the job that an operator made of it. */
  readonly retriedAs?: string;
}

export interface JobResult {
  readonly httpStatus: number;
  readonly contentType: string;
  readonly body: Uint8Array;
}

export type SubmitAnswer =
  | { readonly kind: 'accepted'; readonly view: JobView }
  | { readonly kind: 'rejected'; readonly error: PilotlightError };

export type CancelAnswer =
  | { readonly kind: 'cancelled'; readonly view: JobView }
  /** It had its outcome already. */
  | { readonly kind: 'finished'; readonly view: JobView }
  | { readonly kind: 'unknown' };

export interface SubmitOptions {
  /**
   * The submitter repeats it, under the same id, until it is accepted; then a job of that id that is there already stays
   * untouched whatever goes wrong, and nothing is taken back: a rejected one may run.
   */
  readonly isRepeated?: boolean;
}

/** Jobs of one installation. Another tenant's job is unknown. */
export interface JobService {
  /** Answers `accepted` only after the accept record is synced and the job is in the backlog. */
  submit(spec: JobSpec, body: Uint8Array, options?: SubmitOptions): Promise<SubmitAnswer>;
  get(id: string, tenant: string): Promise<JobView | null>;
  /** Null while unfinished, when unknown, or after retention. */
  result(id: string, tenant: string): Promise<JobResult | null>;
  /** The request as it is forwarded; null when unknown or after retention. */
  request(id: string, tenant: string): Promise<Uint8Array | null>;
  cancel(id: string, tenant: string): Promise<CancelAnswer>;
  /** Cancels it if it has not ended, and forgets it: it is unknown from then on, also after a loss of Redis. False = unknown. */
  delete(id: string, tenant: string): Promise<boolean>;
  /** Resolves with the terminal view, or with the present one after `timeoutMs`. */
  wait(id: string, tenant: string, timeoutMs: number, signal: AbortSignal): Promise<JobView | null>;
}
