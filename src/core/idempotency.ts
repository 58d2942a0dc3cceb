/** What a caller's `Idempotency-Key` was used for. Neither the key nor the request is in it: hashes are SHA-256 in hex. */
export interface KeyUse {
  readonly tenant: string;
  readonly keyHash: string;
  /** Of everything that the caller asked: the way of asking, path and body. */
  readonly requestHash: string;
}

/** As it is kept with an accepted job, so that a key still stands for it after a loss of Redis. */
export type BoundKey = Pick<KeyUse, 'keyHash' | 'requestHash'>;

export type KeyClaim =
  /** The request is the caller's to run, under this id: an earlier one's if that try broke off and may have left something. */
  | { readonly kind: 'mine'; readonly id: string; readonly isRepeated: boolean }
  /** It was accepted under this id. */
  | { readonly kind: 'accepted'; readonly id: string }
  /** Another try is being accepted, or runs. */
  | { readonly kind: 'busy' }
  /** The key stands for another request. */
  | { readonly kind: 'conflict' };

/** How long a key stands for an accepted job, or for a try of which nobody knows how it ended. */
export const KEY_KEPT_MS = 24 * 3_600_000;

/** How long an accept may take before another try may go on in its place. */
export const ACCEPT_LEASE_MS = 60_000;

/** A claim of a call whose process died lapses after so long. */
export const CALL_LEASE_MS = 30_000;

/**
 * How a claim ends. accepted: the key stands for the job from now on; unknown: the job may have been accepted, so the next
 * try has to use its id; refused: nothing is left of it.
 */
export type ClaimEnd = 'accepted' | 'unknown' | 'refused';

/**
 * Which requests mean the same, for all replicas of an installation. Of several claims at one moment one is `mine`.
 * Failures of the store are thrown as `queue_unavailable`.
 */
export interface RequestKeys {
  /** The same for the same parts in the same order. */
  hashOf(parts: readonly (string | Uint8Array)[]): string;
  /** Claims a job; the claim is held for ACCEPT_LEASE_MS or until it is ended. */
  claimJob(use: KeyUse, newId: string): Promise<KeyClaim>;
  endJob(use: KeyUse, id: string, end: ClaimEnd): Promise<void>;
  /** Claims a held call until `endCall`, however long it runs. Never `accepted`. */
  claimCall(use: KeyUse, callId: string): Promise<KeyClaim>;
  /** Never rejects: what could not be told lapses. */
  endCall(use: KeyUse, callId: string): Promise<void>;
  /** After a loss of the keys: this job still stands for its key, unless that has been used again. */
  restore(use: KeyUse, job: { readonly id: string; readonly acceptedAtEpochMs: number }): Promise<void>;
}

/** How long a call that had to leave the queue may come back to its place. */
export const ARRIVAL_KEPT_MS = 120_000;

/**
 * When calls came that lost their place through no fault of their own, by tenant and hash of the request. A hint: it may be
 * forgotten, and is given out once. Never throws or rejects.
 */
export interface KeptArrivals {
  keep(tenant: string, requestHash: string, arrivedAtEpochMs: number): void;
  /** True if this process remembers any: then it is worth hashing a request that nothing marks as a repetition. */
  readonly hasAny: boolean;
  /** `isMarked`: the caller says that it sends the call again, so other replicas are asked too. */
  take(tenant: string, requestHash: string, isMarked: boolean): Promise<number | null>;
}
