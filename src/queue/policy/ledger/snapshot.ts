import { dueLines } from './due.ts';
import type { DemandLine, SnapshotReply } from './ops.ts';
import { isPaused } from './rules.ts';
import { usedSlots } from './slots.ts';
import type { Bulk, LedgerState, ObjectiveBook } from './state.ts';
import { isRecovering, type Turn } from './turn.ts';

/** Everything that scaling needs to know. Offered tickets count as running: they hold a slot. */
export function snapshot({ state, nowMs }: Turn): SnapshotReply {
  const running = runningByObjective(state);
  const objectives = [...state.books].map(([objective, book]) =>
    lineOf(state, objective, book, running.get(objective) ?? { all: 0, rows: 0 }),
  );
  return {
    kind: 'snapshot',
    activityEpoch: state.activityEpoch,
    recovering: isRecovering(state),
    owners: state.owners.size - state.owners.upTo(nowMs - state.timing.deadOwnerMs, state.owners.size).length,
    objectives: objectives.sort((a, b) => (a.objective < b.objective ? -1 : 1)),
    endpoints: state.endpoints.map(({ id, slots, gate }) => ({
      ...{ id, slots, gate },
      used: usedSlots(state, id),
      quarantined: state.quarantine.get(id)?.size ?? 0,
    })),
  };
}

/** Tickets of one objective that hold a slot, and how many of them are rows. */
interface Running {
  all: number;
  rows: number;
}

function lineOf(state: LedgerState, objective: string, book: ObjectiveBook, running: Running): DemandLine {
  const bulks = [...book.bulks].flatMap((id) => state.bulks.get(id) ?? []);
  const sum = (valueOf: (bulk: Bulk) => number) => bulks.reduce((total, bulk) => total + valueOf(bulk), 0);
  const rows = sum(({ requests }) => requests);
  return {
    objective,
    priority: book.priority,
    ...(isPaused(state, objective) && { paused: true }),
    waitingHeld: book.held.size,
    waitingStored: book.intake.size,
    running: running.all,
    stored: book.stored.size + rows,
    bytes: book.heldBytes + book.storedBytes + sum(({ bytes }) => bytes),
    costTokens: book.heldCostTokens + book.storedCostTokens + sum(({ costTokens }) => costTokens),
    oldestAtEpochMs: oldestWaitingAtMs(state, book, rows > running.rows ? bulks : []),
    deadlines: dueLines(book, bulks),
    arrivedTotal: book.arrivedTotal,
    releasedTotal: book.releasedTotal,
    slotMsTotal: book.slotMsTotal,
    releasedCostTokensTotal: book.releasedCostTokensTotal,
    settledTotal: book.settledTotal,
  };
}

function runningByObjective(state: LedgerState): Map<string, Running> {
  const running = new Map<string, Running>();
  for (const ids of state.used.values()) {
    for (const id of ids) {
      const ticket = state.tickets.get(id);
      if (ticket === undefined) continue;
      const { all, rows } = running.get(ticket.objective) ?? { all: 0, rows: 0 };
      running.set(ticket.objective, { all: all + 1, rows: rows + (ticket.kind === 'row' ? 1 : 0) });
    }
  }
  return running;
}

/** The earliest arrival among waiting tickets, stored work that is not in service, and bulks that wait; 0 = none. */
function oldestWaitingAtMs(state: LedgerState, book: ObjectiveBook, bulks: readonly Bulk[]): number {
  const arrivals = [book.held.at(0), book.intake.at(0)].flatMap((first) =>
    first ? [Math.floor(first.score / 1000)] : [],
  );
  const stored = book.stored.ids().find((id) => (state.tickets.get(id)?.state ?? 'waiting') === 'waiting');
  if (stored !== undefined) arrivals.push(book.stored.score(stored) ?? 0);
  arrivals.push(...bulks.map(({ acceptedAtMs }) => acceptedAtMs));
  return arrivals.length === 0 ? 0 : Math.min(...arrivals);
}
