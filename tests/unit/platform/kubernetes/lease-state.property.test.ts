import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  LEASE_TIMING,
  type LeasePlan,
  type LeaseRecord,
  type LeaseState,
  leads,
  type Moment,
  newLeaseState,
  observe,
  planOf,
  wrote,
} from '../../../../src/platform/kubernetes/lease-state.ts';

type Answer =
  | { kind: 'read'; record: LeaseRecord | null }
  | { kind: 'written'; record: LeaseRecord }
  | { kind: 'refused' };

interface Operation {
  readonly plan: LeasePlan | { readonly kind: 'read' };
  readonly sentAt: Moment;
  answer: Answer | null;
}

interface Member {
  state: LeaseState;
  operation: Operation | null;
  readonly skewMs: number;
  readonly bootedMs: number;
}

/** Candidates and the API server's one Lease; every message may take as long as it likes or get lost. */
class World {
  nowMs = Date.UTC(2026, 10, 22);
  lease: LeaseRecord | null = null;
  readonly members: Member[];
  #version = 0;

  constructor(skewsMs: readonly number[]) {
    this.members = skewsMs.map((skewMs, index) => ({
      state: newLeaseState(`candidate-${index}`, LEASE_TIMING),
      operation: null,
      skewMs,
      bootedMs: this.nowMs - index * 7_777,
    }));
  }

  now(member: Member): Moment {
    return { monotonicMs: this.nowMs - member.bootedMs, epochMs: this.nowMs + member.skewMs };
  }

  leaders(): Member[] {
    return this.members.filter((member) => leads(member.state, this.now(member)));
  }

  /** Asks for what is due: a look, or the write that the last look calls for. */
  send(member: Member, isLook: boolean): void {
    if (member.operation) return;
    const plan = planOf(member.state, this.now(member));
    member.operation = {
      plan: isLook || plan.kind === 'wait' ? { kind: 'read' } : plan,
      sentAt: this.now(member),
      answer: null,
    };
  }

  serve({ operation, state }: Member): void {
    if (!operation || operation.answer) return;
    const { plan } = operation;
    if (plan.kind === 'read' || plan.kind === 'wait') {
      operation.answer = { kind: 'read', record: this.lease };
      return;
    }
    const isAsPlanned = plan.kind === 'create' ? this.lease === null : this.lease?.version === plan.over.version;
    if (!isAsPlanned) {
      operation.answer = { kind: 'refused' };
      return;
    }
    this.#version += 1;
    this.lease = { holder: state.identity, durationMs: 15_000, transitions: plan.term, version: String(this.#version) };
    operation.answer = { kind: 'written', record: this.lease };
  }

  deliver(member: Member): void {
    const { operation } = member;
    if (!operation?.answer) return;
    member.operation = null;
    const { answer, sentAt } = operation;
    if (answer.kind === 'read') member.state = observe(member.state, answer.record, this.now(member));
    if (answer.kind === 'written') member.state = wrote(member.state, answer.record, sentAt);
  }

  /** By a person; what was sent on the ground that there is none does not arrive after it. */
  deleteLease(): void {
    // Terms go on from what is known, and by the wall clock only where nobody knows.
    if (this.members.some(({ state }) => state.highestTerm !== this.lease?.transitions)) return;
    this.lease = null;
    for (const member of this.members) if (member.operation?.plan.kind === 'create') member.operation = null;
  }

  release(member: Member): void {
    if (this.lease?.holder !== member.state.identity || member.operation) return;
    member.state = { ...member.state, held: null };
    this.#version += 1;
    this.lease = { ...this.lease, holder: '', version: String(this.#version) };
  }
}

const step = fc.record({
  member: fc.nat(2),
  do: fc.oneof(
    { weight: 8, arbitrary: fc.constant('turn' as const) },
    { weight: 3, arbitrary: fc.constantFrom('send', 'look', 'serve', 'deliver') },
    { weight: 1, arbitrary: fc.constantFrom('lose', 'restart', 'release', 'delete') },
  ),
  afterMs: fc.oneof(fc.integer({ min: 0, max: 3_000 }), fc.constantFrom(10_000, 15_000)),
});

test('there are never two leaders, terms only grow, and in the end there is one', () => {
  let handOvers = 0;
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 120 }),
      fc.tuple(...[0, 1, 2].map(() => fc.integer({ min: -86_400_000, max: 86_400_000 }))),
      (steps, skewsMs) => {
        const world = new World(skewsMs);
        const terms: { term: number; identity: string }[] = [];
        const check = () => {
          const leaders = world.leaders();
          expect(leaders.length).toBeLessThanOrEqual(1);
          const { held, identity } = leaders[0]?.state ?? {};
          const last = terms.at(-1);
          if (!held || !identity || (last?.term === held.term && last.identity === identity)) return;
          if (last) {
            expect(held.term).toBeGreaterThan(last.term);
            handOvers += 1;
          }
          terms.push({ term: held.term, identity });
        };
        for (const one of steps) {
          world.nowMs += one.afterMs;
          check();
          perform(world, one.member, one.do);
          check();
        }
        for (let second = 0; second < 40; second += 1) {
          world.nowMs += 1_000;
          for (const member of world.members) {
            turn(world, member, true);
            check();
            turn(world, member, false);
            check();
          }
        }
        expect(world.leaders()).toHaveLength(1);
      },
    ),
    { numRuns: 2_000 },
  );
  expect(handOvers).toBeGreaterThan(100);
});

function perform(world: World, index: number, action: string): void {
  const member = world.members[index]!;
  if (action === 'turn') {
    turn(world, member, true);
    turn(world, member, false);
  }
  if (action === 'send' || action === 'look') world.send(member, action === 'look');
  if (action === 'serve') world.serve(member);
  if (action === 'deliver') world.deliver(member);
  if (action === 'lose') member.operation = null;
  if (action === 'restart' && world.lease !== null) {
    member.operation = null;
    member.state = newLeaseState(`${member.state.identity}'`, LEASE_TIMING);
  }
  if (action === 'release') world.release(member);
  if (action === 'delete') world.deleteLease();
}

/** A whole exchange without delay, after what was under way. */
function turn(world: World, member: Member, isLook: boolean): void {
  for (let time = 0; time < 2; time += 1) {
    if (time === 1) world.send(member, isLook);
    world.serve(member);
    world.deliver(member);
  }
}
