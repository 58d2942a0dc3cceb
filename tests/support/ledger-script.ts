import fc from 'fast-check';
import type { TicketKind } from '../../src/core/live-order.ts';
import type { LedgerStore } from '../../src/queue/live-order/ports.ts';
import type {
  LedgerOp,
  ReassertedTicket,
  RuleLine,
  TenantFields,
  Timing,
  TurnResult,
} from '../../src/queue/policy/ledger/ops.ts';

/**
 * Random stories for a ledger: what two owners do to it, with time passing. A step names tickets and grants by what the
 * story has seen so far, so that most operations hit something, and some are late or wrong.
 */

export const TEST_TIMING: Timing = {
  offerMs: 1_000,
  deadOwnerMs: 3_000,
  quarantineCapMs: 60_000,
  recoveryMs: 2_000,
  outcomeRetentionMs: 86_400_000,
};

const OWNERS = ['gw-a', 'gw-b'] as const;
const OBJECTIVES = [
  { objective: 'interactive', priority: 100 },
  { objective: 'default', priority: 0 },
  { objective: 'other', priority: 0 },
  { objective: 'nightly', priority: -10 },
];
const ENDPOINTS = ['ep-1', 'ep-2', 'ep-3'];
const IDS = Array.from({ length: 14 }, (_, index) => `t${index}`);
/** Work of every kind, so that a story has tickets, jobs and rows of the same ids. */
const KINDS: readonly TicketKind[] = ['held', 'stored', 'held', 'row', 'stored'];
const kindOf = (id: string) => KINDS[IDS.indexOf(id) % KINDS.length]!;
const TENANTS = ['', 'acme', 'bee', 'capped'];
const CLASSES = ['', '', '', 'lora'];
const LIMITS = [
  { poolMaxRequests: 8, poolMaxBytes: 400, shedAtPercent: 50, objectiveMaxRequests: 2, objectiveMaxBytes: 150 },
  { poolMaxRequests: 100, poolMaxBytes: 1e6, shedAtPercent: 99, objectiveMaxRequests: 100, objectiveMaxBytes: 1e6 },
  { poolMaxRequests: 2, poolMaxBytes: 100, shedAtPercent: 100, objectiveMaxRequests: 100, objectiveMaxBytes: 1e6 },
  {
    ...{
      poolMaxRequests: 100,
      poolMaxBytes: 1e6,
      shedAtPercent: 99,
      objectiveMaxRequests: 100,
      objectiveMaxBytes: 1e6,
    },
    ...{ tenantMaxRequests: 2, tenantMaxBytes: 90 },
  },
];
const START_US = 1_700_000_000_000_000;

/** A step before tokens and times are filled in. */
export interface Step {
  readonly what: string;
  readonly owner: number;
  readonly id: number;
  readonly pick: number;
  readonly flag: boolean;
  readonly afterMs: number;
  readonly ranking: readonly number[];
  /** Runs in the same turn as the step before, if that has the same owner. */
  readonly joined: boolean;
}

const weighted: [number, string][] = [
  ...([
    [60, 'admit'],
    [40, 'take'],
    [20, 'release'],
    [20, 'finish'],
    [10, 'requeue'],
    [8, 'withdraw'],
    [10, 'heartbeat'],
    [8, 'poll'],
    [4, 'reassert'],
    [1, 'leave'],
    [6, 'setEndpoints'],
    [6, 'setGate'],
    [2, 'setSoonSlots'],
    [4, 'setRules'],
    [2, 'closeIfIdle'],
    [8, 'observe'],
    [15, 'reserve'],
    [10, 'confirm'],
    [3, 'forget'],
    [15, 'settle'],
    [12, 'setBulk'],
    [3, 'outbox'],
    [3, 'ackOutbox'],
    [2, 'outcomes'],
    [2, 'overdue'],
    [6, 'snapshot'],
    [5, 'setPaused'],
    [2, 'paused'],
    [5, 'list'],
    [3, 'find'],
    [1, 'restart'],
  ] as [number, string][]),
];

export const stepArbitrary: fc.Arbitrary<Step> = fc.record({
  what: fc.oneof(...weighted.map(([weight, what]) => ({ weight, arbitrary: fc.constant(what) }))),
  owner: fc.nat(OWNERS.length - 1),
  id: fc.nat(IDS.length - 1),
  pick: fc.nat(11),
  flag: fc.boolean(),
  afterMs: fc.oneof(
    { weight: 80, arbitrary: fc.nat(20) },
    { weight: 10, arbitrary: fc.nat(1_500) },
    { weight: 1, arbitrary: fc.nat(70_000) },
    { weight: 1, arbitrary: fc.constant(599_000) },
  ),
  ranking: fc.shuffledSubarray([0, 1, 2], { minLength: 0 }),
  joined: fc.boolean(),
});

/** Tenants of all weights, some with a limit of slots or a deadline. */
function tenantOf(step: Step): TenantFields {
  const fairnessId = TENANTS[(step.id + step.pick) % TENANTS.length]!;
  if (step.pick < 3) return { fairnessId };
  return {
    fairnessId,
    weight: 1 + (step.pick % 3),
    ...(fairnessId === 'capped' && { maxConcurrency: 1 + (step.pick % 2) }),
    ...(step.flag && { deadlineMs: START_US / 1_000 + 1_000 * step.pick }),
  };
}

function rulesOf(step: Step): RuleLine[] {
  return OBJECTIVES.slice(step.pick % 3).map(({ objective, priority }, index) => ({
    ...{ objective, priority },
    guaranteedSharePercent: (step.pick + index) % 3 === 0 ? 10 * index : 0,
    agingMs: (step.pick + index) % 4 === 0 ? 10 : 0,
    reservedSlotsPercent: (step.pick + index) % 5 === 0 ? 50 : 0,
    reservedLapseMs: 100,
    paused: step.flag && (step.pick + index) % 4 === 1,
  }));
}

/** Plays the same story on several stores and hands every pair of answers to `compare`. */
export class Story {
  nowUs = START_US;
  #runId = 'run-1';
  #incarnations = new Map<string, string>();
  #tokens = new Map<string, string>();
  #tags = new Map<string, string>();
  #epoch = 0;
  /** Tickets by what the story last heard of them, for steps that want one in that state. */
  readonly #heard = new Map<string, { owner: string; state: 'offered' | 'running' }>();
  readonly #beats = new Map<string, number>();
  readonly #stores: readonly LedgerStore[];
  readonly #compare: (results: readonly TurnResult[], ops: readonly LedgerOp[], step: Step | null) => void;

  constructor(
    stores: readonly LedgerStore[],
    compare: (results: readonly TurnResult[], ops: readonly LedgerOp[], step: Step | null) => void,
  ) {
    this.#stores = stores;
    this.#compare = compare;
  }

  async play(steps: readonly Step[]): Promise<void> {
    for (const owner of OWNERS) await this.#open(owner);
    await this.#turn('gw-a', [this.#setEndpoints(5, true)], null);
    for (let index = 0; index < steps.length; ) {
      const first = steps[index++]!;
      this.nowUs += first.afterMs * 1_000 + (first.pick % 3);
      const owner = OWNERS[first.owner]!;
      if (first.what === 'restart') {
        this.#runId = `run-${Number(this.#runId.slice(4)) + 1}`;
        await this.#open(owner);
        continue;
      }
      if (first.pick > 1) for (const each of OWNERS) await this.#beatIfDue(each);
      const ops = [this.#opOf(first, owner)];
      while (
        steps[index]?.joined &&
        steps[index]?.owner === first.owner &&
        steps[index]?.what !== 'restart' &&
        ops.length < 5
      ) {
        ops.push(this.#opOf(steps[index++]!, owner));
      }
      await this.#turn(owner, ops, first);
    }
    for (const owner of OWNERS) {
      await this.#turn(owner, [{ op: 'snapshot' }, { op: 'heartbeat', check: IDS }, { op: 'snapshot' }], null);
    }
  }

  /** Most owners live: a story in which time passes without heartbeats is soon over. */
  async #beatIfDue(owner: string): Promise<void> {
    if (this.nowUs - (this.#beats.get(owner) ?? 0) < 1_000_000) return;
    this.#beats.set(owner, this.nowUs);
    await this.#turn(owner, [{ op: 'heartbeat', check: [] }], null);
  }

  async #open(owner: string): Promise<void> {
    const previous = this.#incarnations.get(owner) ?? '';
    await this.#turn(
      owner,
      [{ op: 'open', runId: this.#runId, previous, executes: owner === 'gw-a', timing: TEST_TIMING }],
      null,
    );
  }

  async #turn(owner: string, ops: LedgerOp[], step: Step | null): Promise<void> {
    const reach = step?.ranking.map((index) => ENDPOINTS[index]!) ?? [];
    const request = { owner, incarnation: this.#incarnations.get(owner) ?? '', reach, ops };
    const results: TurnResult[] = [];
    for (const store of this.#stores) results.push(await store.exec(request));
    this.#compare(results, ops, step);
    const result = results[0]!;
    if (result.kind === 'stale') {
      await this.#open(owner);
      return;
    }
    result.replies.forEach((reply, index) => this.#remember(owner, ops[index]!, reply));
    for (const grant of result.grants) {
      this.#tokens.set(grant.id, grant.token);
      this.#heard.set(grant.id, { owner, state: 'running' });
    }
    for (const offer of result.mail.offers) {
      this.#tokens.set(offer.id, offer.token);
      this.#heard.set(offer.id, { owner, state: 'offered' });
    }
  }

  #remember(owner: string, op: LedgerOp, reply: object): void {
    if ('id' in op && 'kind' in reply && reply.kind === 'run') this.#heard.set(op.id, { owner, state: 'running' });
    if ('id' in op && ['finish', 'requeue', 'withdraw', 'settle'].includes(op.op)) this.#heard.delete(op.id);
    if ('incarnation' in reply) this.#incarnations.set(owner, String(reply.incarnation));
    if ('activityEpoch' in reply) this.#epoch = Number(reply.activityEpoch);
    if ('id' in op && 'token' in reply && typeof reply.token === 'string') this.#tokens.set(op.id, reply.token);
    if ('id' in op && 'tag' in reply && typeof reply.tag === 'string') this.#tags.set(op.id, reply.tag);
    if (op.op === 'reassert' && 'tickets' in reply) {
      (reply.tickets as { token: string }[]).forEach((ticket, index) => {
        if (ticket.token !== '') this.#tokens.set(op.tickets[index]!.id, ticket.token);
      });
    }
  }

  #opOf(step: Step, owner: string): LedgerOp {
    const id = this.#idFor(step, owner);
    const nowMs = Math.floor(this.nowUs / 1_000);
    const token = this.#tokens.get(id) ?? '1';
    const ranking = step.ranking.map((index) => ENDPOINTS[index]!);
    const objective = OBJECTIVES[IDS.indexOf(id) % OBJECTIVES.length]!;
    const kind = kindOf(id);
    const work = { id, ...objective, bytes: 10 * step.pick, costTokens: step.pick };
    const deadlineMs = step.flag ? nowMs + 100 * step.pick : 0;
    const limits = LIMITS[step.flag ? 0 : 1 + (step.pick % 3)]!;
    const stored = TENANTS[step.id % TENANTS.length]!;
    switch (step.what) {
      case 'admit': {
        const expiresAtMs = step.pick > 8 ? nowMs + 50 * (step.pick - 9) : 0;
        const arrivedAtMs = step.pick === 7 ? nowMs - 500 : 0;
        const classKey = CLASSES[step.pick % CLASSES.length]!;
        const tenant = tenantOf(step);
        const expiryStops = step.pick === 10 && { expiryStops: true };
        const waits = { expiresAtMs, arrivedAtMs, ...expiryStops };
        return { op: 'admit', ...work, ...tenant, kind, classKey, ...waits, limits, ranking };
      }
      case 'take':
        return { op: 'take', id, token, ranking };
      case 'release':
      case 'finish':
        return { op: step.what, id, token, ...(step.flag && { usedTokens: 3 * step.pick }) };
      case 'requeue':
        return { op: 'requeue', id, token, exclude: ENDPOINTS[step.pick % 4] ?? '' };
      case 'withdraw':
        return { op: 'withdraw', id };
      case 'heartbeat':
        return { op: 'heartbeat', check: IDS.slice(0, step.pick) };
      case 'reassert':
        return { op: 'reassert', tickets: this.#claims(step, owner), first: step.flag, last: step.pick > 3 };
      case 'setEndpoints':
        return this.#setEndpoints(step.pick, step.flag);
      case 'setGate':
        return {
          op: 'setGate',
          endpointId: ENDPOINTS[step.pick % 3]!,
          gate: step.flag ? 'open' : step.pick > 5 ? 'draining' : 'closed',
        };
      case 'setSoonSlots':
        return { op: 'setSoonSlots', slots: step.pick };
      case 'setRules':
        return { op: 'setRules', rules: rulesOf(step) };
      case 'closeIfIdle':
        return { op: 'closeIfIdle', activityEpoch: this.#epoch };
      case 'observe':
        return {
          op: 'observe',
          endpointId: ENDPOINTS[step.pick % 3]!,
          activeRequests: step.pick % 4,
          startedAtMs: nowMs - (step.flag ? 0 : 5),
        };
      case 'reserve':
        return { op: 'reserve', ...work, fairnessId: stored, deadlineMs, limits, ttlMs: 200 };
      case 'confirm':
        return {
          ...{
            op: 'confirm',
            ...work,
            fairnessId: stored,
            deadlineMs,
            acceptedAtMs: step.pick > 8 ? nowMs - 1_000 : 0,
          },
          announced: step.pick % 3 === 0,
        };
      case 'forget':
        return { op: 'forget', id };
      case 'settle':
        return {
          op: 'settle',
          id,
          objective: objective.objective,
          token: step.flag ? token : '',
          ...(step.pick > 5 && { usedTokens: step.pick }),
          outcome: `{"attempts":${step.pick}}`,
          recordRef: 'null',
          announced: step.pick > 9,
        };
      case 'setBulk': {
        const requests = step.pick % 4;
        const deadlineInMs = step.flag ? 60_000 * (step.pick % 5) : 0;
        return {
          ...{
            op: 'setBulk',
            id: `b${step.id % 7}`,
            ...objective,
            requests,
            bytes: requests,
            costTokens: 7 * requests,
          },
          deadlineMs: deadlineInMs === 0 ? 0 : START_US / 1_000 + deadlineInMs,
          acceptedAtMs: nowMs - 10 * step.pick,
        };
      }
      case 'outbox':
        return { op: 'outbox', limit: step.pick };
      case 'ackOutbox':
        return { op: 'ackOutbox', ids: IDS.slice(0, step.pick) };
      case 'outcomes':
        return { op: 'outcomes', ids: IDS };
      case 'setPaused':
        return { op: 'setPaused', objective: OBJECTIVES[step.pick % OBJECTIVES.length]!.objective, paused: step.flag };
      case 'paused':
        return { op: 'paused' };
      case 'list': {
        const asked = step.flag ? objective.objective : '';
        const fairnessId = step.pick % 3 === 0 ? TENANTS[step.pick % TENANTS.length]! : '';
        return { op: 'list', objective: asked, fairnessId, limit: 1 + step.pick };
      }
      case 'find':
        return { op: 'find', id };
      case 'overdue':
        return { op: 'overdue', limit: 3 };
      case 'leave':
        return { op: 'leave' };
      case 'poll':
        return { op: 'poll' };
      default:
        return { op: 'snapshot' };
    }
  }

  /** Three times in four a ticket that the operation fits, if there is one. */
  #idFor(step: Step, owner: string): string {
    const wanted =
      step.what === 'take'
        ? 'offered'
        : ['release', 'finish', 'requeue', 'settle'].includes(step.what)
          ? 'running'
          : '';
    const fitting = IDS.filter((id) => this.#heard.get(id)?.owner === owner && this.#heard.get(id)?.state === wanted);
    return (step.pick % 4 === 0 ? undefined : fitting[step.id % (fitting.length || 1)]) ?? IDS[step.id]!;
  }

  #setEndpoints(pick: number, flag: boolean): LedgerOp {
    const endpoints = ENDPOINTS.filter((_, index) => (pick + index) % 4 !== 0).map((id, index) => ({
      id,
      slots: (pick + index) % 4,
      ...(flag ? {} : { adapters: index === 0 ? ['lora'] : [] }),
    }));
    return { op: 'setEndpoints', endpoints };
  }

  #claims(step: Step, owner: string): ReassertedTicket[] {
    const states = ['waiting', 'running', 'recording'] as const;
    const mine = IDS.filter((_, index) => (index + (owner === 'gw-a' ? 0 : 1)) % 3 === step.pick % 3);
    return mine.map((id, index) => {
      const state = states[(step.pick + index) % 3]!;
      const objective = OBJECTIVES[IDS.indexOf(id) % OBJECTIVES.length]!;
      return {
        id,
        ...objective,
        kind: kindOf(id),
        classKey: '',
        bytes: 10,
        costTokens: 1,
        expiresAtMs: step.pick === 9 ? Math.floor(this.nowUs / 1_000) + 40 : 0,
        expiryStops: step.flag,
        tag: this.#tags.get(id) ?? '0',
        queuedAtMs: Math.floor(this.nowUs / 1_000),
        state,
        endpointId: state === 'waiting' ? '' : ENDPOINTS[index % 3]!,
        excluded: state === 'waiting' && step.flag ? [ENDPOINTS[0]!] : [],
        attempt: 1,
      };
    });
  }
}
