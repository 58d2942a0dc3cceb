import type { Gate, TicketKind } from '../../../core/live-order.ts';
import type { RuleLine, Timing } from './ops.ts';
import { OrderedSet } from './ordered-set.ts';

/** A ticket in the live order; docs/queue.md has the table of its states. */
export interface Ticket {
  readonly id: string;
  readonly kind: TicketKind;
  readonly objective: string;
  readonly priority: number;
  /** Tenant, its weight, and how many slots it may hold in this pool at one time (0 = any number). */
  readonly fairnessId: string;
  readonly weight: number;
  readonly maxConcurrency: number;
  readonly classKey: string;
  readonly bytes: number;
  readonly costTokens: number;
  /** 0 = waits for ever. Below 0: then, on the clock that stands still while the pool has no open slot (expiry.ts). */
  readonly expiresAtMs: number;
  /** Among the tickets of its tenant the earliest goes first; 0 = a day after its arrival. */
  readonly deadlineMs: number;
  /** Its place in the order, kept when it waits again. */
  readonly tag: number;
  /** When it entered the live order. */
  readonly queuedAtMs: number;
  readonly owner: string;
  /** Its effective priority: its own until it has aged. */
  band: number;
  /** Set when it is placed: its objective if that has a guaranteed share, so that it can be picked apart; else ''. */
  lane: string;
  /** Set when it is placed: too many flows are known, and it stands in the one that all others share. */
  isOverflow: boolean;
  /** What its flow was charged for the present grant; 0 = nothing, for nobody waited. */
  chargedTokens: number;
  state: 'waiting' | 'offered' | 'running' | 'recording';
  /** Of the slot it holds or held last; '' = none yet. */
  endpointId: string;
  /** Endpoints that failed it, oldest first. */
  excluded: readonly string[];
  /** Endpoints it has run on. */
  attempt: number;
  /** Fences the present grant; 0 while there was none. */
  token: number;
  /** When it took its slot. */
  sinceMs: number;
}

export interface Endpoint {
  readonly id: string;
  slots: number;
  /** Null = serves every class. */
  adapters: readonly string[] | null;
  gate: Gate;
  /** False once setEndpoints named it no more; it stays here only until its slots are free. */
  isListed: boolean;
}

/** The tickets that wait for the same thing: one band, lane and class. Never empty. */
export interface WaitingQueue {
  readonly key: string;
  readonly band: number;
  readonly lane: string;
  readonly classKey: string;
  readonly excluded: readonly string[];
  /** Flows with a line here that may run, by their virtual time. */
  readonly flows: OrderedSet;
  /** The waiting tickets of each flow, by place (places.ts). None is empty. */
  readonly lines: Map<string, OrderedSet>;
}

/** What the flows of one band have used. Times are virtual: thousandths of a token, divided by weight. */
export interface Band {
  /** Where a flow begins that had nothing waiting. */
  virtualTime: number;
  /** Tickets in lines of this band. */
  waiting: number;
  /** Flow → its virtual time, of those that wait and those that used more than they would begin with. */
  readonly flows: Map<string, number>;
  /** Of these, the ones without a line, by virtual time. */
  readonly idle: OrderedSet;
}

export interface Usage {
  requests: number;
  bytes: number;
}

/** What a scrape of an engine saw. */
export interface Scrape {
  readonly startedAtMs: number;
  readonly activeRequests: number;
}

/** What one objective has and had. */
export interface ObjectiveBook {
  priority: number;
  /** Arrival index: waiting held calls, and waiting stored tickets and rows, by tag. */
  readonly held: OrderedSet;
  readonly intake: OrderedSet;
  /** Accepted or reserved stored requests without an outcome, by arrival. */
  readonly stored: OrderedSet;
  heldBytes: number;
  heldCostTokens: number;
  storedBytes: number;
  storedCostTokens: number;
  arrivedTotal: number;
  releasedTotal: number;
  slotMsTotal: number;
  releasedCostTokensTotal: number;
  settledTotal: number;
  /** Slots its tickets hold; those in quarantine are nobody's. */
  slots: number;
  lastArrivedAtMs: number;
  /** Percent times tokens that it is owed by its guaranteed share; below 0 = served ahead. */
  shareDebt: number;
  /** Deadlines of its stored work, rounded down: bucket → what is due then. */
  readonly due: Map<number, DueBucket>;
  /** Ids of its bulks. */
  readonly bulks: Set<string>;
}

/** Stored work that is due at nearly the same time. Never empty. */
export interface DueBucket {
  requests: number;
  costTokens: number;
  /** Of the earliest that was ever in it. */
  acceptedAtMs: number;
}

export interface Demand {
  readonly objective: string;
  /** Whose budget it counts against; '' = nobody's. */
  readonly fairnessId: string;
  readonly bytes: number;
  readonly costTokens: number;
  /** Its first outcome goes to the outbox. */
  isAnnounced: boolean;
  /** The bucket of `due` that counts it; 0 = none. */
  dueBucketMs: number;
}

/** Work that is counted, not listed. */
export interface Bulk {
  readonly objective: string;
  readonly requests: number;
  readonly bytes: number;
  readonly costTokens: number;
  /** 0 = none. */
  readonly deadlineMs: number;
  readonly acceptedAtMs: number;
}

/** The whole ledger of one pool, in memory. The Redis store keeps the same under the keys listed in docs/queue.md. */
export interface LedgerState {
  incarnation: string;
  runId: string;
  timing: Timing;
  /** Last stamp given out. */
  stamp: number;
  activityEpoch: number;
  /** 0 = open. Until then, or until `awaiting` is empty, owners re-assert and nothing is granted. */
  recoverUntilMs: number;
  /** Owners known before the ledger state was lost that have not re-asserted. */
  readonly awaiting: Set<string>;
  soonSlots: number;
  /** The last assign stopped at its bound: free slots may be owed. */
  isAssignOwed: boolean;

  readonly tickets: Map<string, Ticket>;
  readonly queues: Map<string, WaitingQueue>;
  /** Keys of `queues` with a flow that may run, highest band first. */
  readonly queueOrder: OrderedSet;
  readonly bands: Map<number, Band>;
  /** Slots that tickets with a limit hold, by fairness id. */
  readonly tenantSlots: Map<string, number>;
  /** Flows that hold as many slots as they may → the queues from whose index they were taken. */
  readonly capped: Map<string, Set<string>>;
  /** Waiting tickets of paused objectives: in no line. */
  readonly parked: Map<string, Set<string>>;
  /** Waiting tickets that will age, by when. */
  readonly aging: OrderedSet;
  /** Arrival indexes whose tickets are put in their places anew → the tag up to which that is done. */
  readonly replacing: Map<string, number>;
  readonly books: Map<string, ObjectiveBook>;
  /** By objective; what is not named has none. */
  readonly rules: Map<string, RuleLine>;
  /** Waiting tickets that expire by the clock that can stand still, by when. */
  readonly stopExpiries: OrderedSet;
  /** How long the pool had no open slot, up to the last time it got one. */
  stoppedMs: number;
  /** Since when it has none; 0 = it has. */
  stoppedSinceMs: number;
  /** What waits as held calls, and what is stored, of each fairness id that has any. */
  readonly tenantsHeld: Map<string, Usage>;
  readonly tenantsStored: Map<string, Usage>;
  /** Objectives that an operator paused. */
  readonly paused: Set<string>;

  endpoints: Endpoint[];
  /** Ids of the tickets that hold a slot, by endpoint. */
  readonly used: Map<string, Set<string>>;
  /** Slots of dead owners: owner and ticket → when it was reaped, by endpoint. */
  readonly quarantine: Map<string, Map<string, number>>;
  /** Of these, the ones in use when the incarnation began: endpoint, owner and ticket. */
  readonly inherited: Set<string>;
  /** The last scrape, by endpoint with quarantined slots. */
  readonly scrapes: Map<string, Scrape>;

  /** By last heartbeat. */
  readonly owners: OrderedSet;
  readonly executors: Set<string>;
  readonly missedOffers: Map<string, number>;
  readonly ownerTickets: Map<string, Set<string>>;
  /** Offered ticket ids by lapse, by owner. */
  readonly offers: Map<string, OrderedSet>;
  /** Tickets that an owner in the middle of re-asserting has not named yet. */
  readonly unconfirmed: Map<string, Set<string>>;

  readonly demand: Map<string, Demand>;
  readonly reservations: OrderedSet;
  readonly deadlines: OrderedSet;
  readonly bulks: Map<string, Bulk>;
  /** Their ids by when they were last told. */
  readonly bulksTold: OrderedSet;
  /** Announced work that was settled, by the time of that, and its objective. */
  readonly outbox: OrderedSet;
  readonly outboxObjectives: Map<string, string>;
  readonly outcomes: Map<string, { readonly text: string; readonly untilMs: number }>;
}

export function emptyLedger(): LedgerState {
  return {
    incarnation: '',
    runId: '',
    timing: { offerMs: 0, deadOwnerMs: 0, quarantineCapMs: 0, recoveryMs: 0, outcomeRetentionMs: 0 },
    stamp: 0,
    activityEpoch: 0,
    recoverUntilMs: 0,
    awaiting: new Set(),
    soonSlots: 0,
    isAssignOwed: false,
    tickets: new Map(),
    queues: new Map(),
    queueOrder: new OrderedSet(),
    bands: new Map(),
    tenantSlots: new Map(),
    capped: new Map(),
    parked: new Map(),
    aging: new OrderedSet(),
    replacing: new Map(),
    books: new Map(),
    rules: new Map(),
    stopExpiries: new OrderedSet(),
    stoppedMs: 0,
    stoppedSinceMs: 0,
    tenantsHeld: new Map(),
    tenantsStored: new Map(),
    paused: new Set(),
    endpoints: [],
    used: new Map(),
    quarantine: new Map(),
    inherited: new Set(),
    scrapes: new Map(),
    owners: new OrderedSet(),
    executors: new Set(),
    missedOffers: new Map(),
    ownerTickets: new Map(),
    offers: new Map(),
    unconfirmed: new Map(),
    demand: new Map(),
    reservations: new OrderedSet(),
    deadlines: new OrderedSet(),
    bulks: new Map(),
    bulksTold: new OrderedSet(),
    outbox: new OrderedSet(),
    outboxObjectives: new Map(),
    outcomes: new Map(),
  };
}

/** The value under the key, made when missing. */
export function getOrMake<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}

export function bookOf(state: LedgerState, objective: string): ObjectiveBook {
  return getOrMake(state.books, objective, () => ({
    priority: 0,
    held: new OrderedSet(),
    intake: new OrderedSet(),
    stored: new OrderedSet(),
    heldBytes: 0,
    heldCostTokens: 0,
    storedBytes: 0,
    storedCostTokens: 0,
    arrivedTotal: 0,
    releasedTotal: 0,
    slotMsTotal: 0,
    releasedCostTokensTotal: 0,
    settledTotal: 0,
    slots: 0,
    lastArrivedAtMs: 0,
    shareDebt: 0,
    due: new Map(),
    bulks: new Set(),
  }));
}
