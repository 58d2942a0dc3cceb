import type { DemandLine, SnapshotReply } from './ops.ts';
import { usedSlots } from './slots.ts';
import type { LedgerState, ObjectiveBook } from './state.ts';
import { isRecovering, type Turn } from './turn.ts';

/** Everything that scaling needs to know. Offered tickets count as running: they hold a slot. */
export function snapshot({ state, nowMs }: Turn): SnapshotReply {
  const running = runningByObjective(state);
  const objectives = [...state.books].map(([objective, book]) =>
    lineOf(state, objective, book, running.get(objective)),
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

function lineOf(state: LedgerState, objective: string, book: ObjectiveBook, running = 0): DemandLine {
  return {
    objective,
    priority: book.priority,
    waitingHeld: book.held.size,
    waitingStored: book.intake.size,
    running,
    stored: book.stored.size,
    bytes: book.heldBytes + book.storedBytes,
    costTokens: book.heldCostTokens + book.storedCostTokens,
    oldestAtEpochMs: oldestWaitingAtMs(state, objective, book),
    arrivedTotal: book.arrivedTotal,
    releasedTotal: book.releasedTotal,
    slotMsTotal: book.slotMsTotal,
    settledTotal: book.settledTotal,
  };
}

function runningByObjective(state: LedgerState): Map<string, number> {
  const running = new Map<string, number>();
  for (const ids of state.used.values()) {
    for (const id of ids) {
      const objective = state.tickets.get(id)?.objective;
      if (objective !== undefined) running.set(objective, (running.get(objective) ?? 0) + 1);
    }
  }
  return running;
}

/** The earliest arrival among waiting tickets and stored work that is not in service; 0 = none. */
function oldestWaitingAtMs(state: LedgerState, objective: string, book: ObjectiveBook): number {
  const arrivals = [...state.queues.values()]
    .filter((queue) => queue.objective === objective)
    .map((queue) => Math.floor((queue.tickets.at(0)?.score ?? 0) / 1000));
  const stored = book.stored.ids().find((id) => (state.tickets.get(id)?.state ?? 'waiting') === 'waiting');
  if (stored !== undefined) arrivals.push(book.stored.score(stored) ?? 0);
  return arrivals.length === 0 ? 0 : Math.min(...arrivals);
}
