/**
 * Who leads, decided from a coordination.k8s.io/v1 Lease. Pure: time comes in as a reading of this process's own clocks.
 *
 * | the Lease                        | this process                                              |
 * | -------------------------------- | --------------------------------------------------------- |
 * | does not exist                   | creates it; where it had seen one, after its duration     |
 * | names nobody                     | takes it                                                  |
 * | names this process               | renews it while it can prove that it leads, else takes it |
 * | names another                    | waits until it has not changed for its duration           |
 *
 * The rules are client-go's (tools/leaderelection): a leader stops when it could not renew for `renewDeadlineMs`, counted
 * from before its last renewal was sent; others take over when the Lease has stood still for `durationMs`, counted from
 * when they first saw it so. Nobody reads another's time stamps, so clocks may differ in time, only not in speed.
 *
 * Not covered: a Lease that is deleted by hand under a leader, and a process that starts in the ten seconds after. It
 * finds no Lease, as at the first installation, and leads at once.
 */
export interface LeaseTiming {
  /** Others wait this long. */
  readonly durationMs: number;
  /** The leader gives up after this; well below `durationMs`. */
  readonly renewDeadlineMs: number;
  readonly retryEveryMs: number;
}

/** The values of Kubernetes' own controllers. */
export const LEASE_TIMING: LeaseTiming = { durationMs: 15_000, renewDeadlineMs: 10_000, retryEveryMs: 2_000 };

/** This process's clocks, read together. Monotonic time may stand still while a machine sleeps, wall time does not. */
export interface Moment {
  readonly monotonicMs: number;
  readonly epochMs: number;
}

/** What a Lease says. */
export interface LeaseRecord {
  /** '' = nobody. */
  readonly holder: string;
  /** Of the holder's own wait. */
  readonly durationMs: number;
  readonly transitions: number;
  /** resourceVersion: every write changes it. */
  readonly version: string;
}

export interface LeaseState {
  readonly identity: string;
  readonly timing: LeaseTiming;
  /** Null = the Lease does not exist; undefined = nothing known. */
  readonly seen: LeaseRecord | null | undefined;
  /** Since when `seen` has been as it is. */
  readonly seenSince: Moment;
  readonly held: { readonly term: number; readonly provenAt: Moment } | null;
  /** No term up to here may come again. */
  readonly highestTerm: number;
}

export type LeasePlan =
  | { readonly kind: 'wait' }
  | { readonly kind: 'create'; readonly term: number }
  | { readonly kind: 'take' | 'renew'; readonly term: number; readonly over: LeaseRecord };

export function newLeaseState(identity: string, timing: LeaseTiming): LeaseState {
  const never = { monotonicMs: 0, epochMs: 0 };
  return { identity, timing, seen: undefined, seenSince: never, held: null, highestTerm: -1 };
}

/** Whether this process can still prove that it leads. */
export function leads({ held, timing }: LeaseState, now: Moment): boolean {
  return held !== null && elapsedMs(held.provenAt, now) < timing.renewDeadlineMs;
}

/** How long it can prove that without another renewal; 0 = it cannot. */
export function leadsForMs({ held, timing }: LeaseState, now: Moment): number {
  return held === null ? 0 : Math.max(0, timing.renewDeadlineMs - elapsedMs(held.provenAt, now));
}

/** What a read of the Lease means. */
export function observe(state: LeaseState, record: LeaseRecord | null, now: Moment): LeaseState {
  const isSame = state.seen !== undefined && state.seen?.version === record?.version;
  const isMine = record?.holder === state.identity;
  return {
    ...state,
    seen: record,
    seenSince: isSame ? state.seenSince : now,
    held: isMine ? state.held : null,
    highestTerm: Math.max(state.highestTerm, record?.transitions ?? -1),
  };
}

/** What to do about the Lease as it was last read. Every write must name the version it was planned on. */
export function planOf(state: LeaseState, now: Moment): LeasePlan {
  const { seen, seenSince, held, identity, timing, highestTerm } = state;
  if (seen === undefined) return { kind: 'wait' };
  const seenForMs = now.monotonicMs - seenSince.monotonicMs;
  if (seen === null) {
    // Someone deleted it under a leader who may not know yet.
    if (highestTerm >= 0 && seenForMs < timing.durationMs) return { kind: 'wait' };
    // A new Lease starts its count again; terms must grow all the same, also for who never saw the old one.
    return { kind: 'create', term: Math.max(highestTerm + 1, firstTerm(now)) };
  }
  if (seen.holder === identity && held !== null && leads(state, now)) {
    return { kind: 'renew', term: held.term, over: seen };
  }
  const isFree = seen.holder === '' || seen.holder === identity;
  const waitMs = Math.max(timing.durationMs, seen.durationMs);
  if (!isFree && seenForMs < waitMs) return { kind: 'wait' };
  return { kind: 'take', term: highestTerm + 1, over: seen };
}

/** A planned write succeeded. `sentAt` was read before it was sent: the Lease has been ours since then at the latest. */
export function wrote(state: LeaseState, record: LeaseRecord, sentAt: Moment): LeaseState {
  const term = record.transitions;
  return {
    ...observe(state, record, sentAt),
    held: { term, provenAt: sentAt },
    highestTerm: Math.max(state.highestTerm, term),
  };
}

/** This process gives up its lead. */
export function letGo(state: LeaseState): LeaseState {
  return { ...state, held: null };
}

/** Seconds since 2026, which stay below the int32 of leaseTransitions until 2094; hand-overs are rarer than seconds. */
function firstTerm({ epochMs }: Moment): number {
  return Math.floor((epochMs - Date.UTC(2026, 0)) / 1_000);
}

function elapsedMs(since: Moment, now: Moment): number {
  return Math.max(now.monotonicMs - since.monotonicMs, now.epochMs - since.epochMs);
}
