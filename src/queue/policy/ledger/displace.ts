import { ownRefusal, poolRefusal, poolUsage } from './budget.ts';
import type { AdmitOp } from './ops.ts';
import type { OrderedSet } from './ordered-set.ts';
import type { LedgerState, ObjectiveBook, Ticket } from './state.ts';
import type { Rejected } from './stored-ops.ts';
import { evict } from './tickets.ts';
import type { Turn } from './turn.ts';

/** Held calls that one newcomer may push out; one is enough unless it is larger than they are. */
const MAX_DISPLACED = 16;

/**
 * Room for a held call that has to wait, or why there is none. The budgets of its own objective and fairness id are never
 * passed. Where the pool's is used up, a call of a higher band does not count the stored work of lower bands, which is
 * durable and can wait outside: their newest stored ticket goes back to the backlog. If the held calls alone are too many, the
 * newest sheddable ones (priority below 0) of the lowest band below its own are evicted, all that it takes or none.
 */
export function makeRoom(turn: Turn, op: AdmitOp): Rejected | undefined {
  const { state } = turn;
  const pool = poolUsage(state);
  const own = ownRefusal(state, op, pool);
  if (own !== undefined) return own;
  const refused = poolRefusal(op, pool);
  if (refused === undefined) return undefined;

  const counted = poolUsage(state, op.priority);
  if (poolRefusal(op, counted) === undefined) {
    const lowest = lowestBand(state, op.priority, ({ intake }) => intake);
    for (const ticket of newest(state, lowest?.sets ?? [], 1)) evict(turn, ticket, 'handed_back');
    return undefined;
  }
  const victims: Ticket[] = [];
  for (const ticket of sheddable(state, op.priority)) {
    victims.push(ticket);
    counted.requests -= 1;
    counted.bytes -= ticket.bytes;
    if (poolRefusal(op, counted) !== undefined) continue;
    for (const victim of victims) evict(turn, victim, 'displaced');
    return undefined;
  }
  return refused;
}

/** Waiting held tickets of bands below `priority` and below 0: lowest band first, newest first. */
function sheddable(state: LedgerState, priority: number): Ticket[] {
  const below = Math.min(priority, 0);
  const tickets: Ticket[] = [];
  let above = -Infinity;
  while (tickets.length < MAX_DISPLACED) {
    const band = lowestBand(state, below, ({ held }) => held, above);
    if (band === undefined) break;
    tickets.push(...newest(state, band.sets, MAX_DISPLACED - tickets.length));
    above = band.priority;
  }
  return tickets;
}

interface Band {
  readonly priority: number;
  readonly sets: readonly OrderedSet[];
}

/** The sets of the lowest band below `below` and above `above` that has something in them. */
function lowestBand(
  state: LedgerState,
  below: number,
  setOf: (book: ObjectiveBook) => OrderedSet,
  above = -Infinity,
): Band | undefined {
  const books = [...state.books.values()].filter(
    (book) => book.priority > above && book.priority < below && setOf(book).size > 0,
  );
  if (books.length === 0) return undefined;
  const priority = Math.min(...books.map((book) => book.priority));
  return { priority, sets: books.filter((book) => book.priority === priority).map(setOf) };
}

function newest(state: LedgerState, sets: readonly OrderedSet[], limit: number): Ticket[] {
  const last = sets.flatMap((set) => {
    const from = Math.max(0, set.size - limit);
    return Array.from({ length: set.size - from }, (_, index) => set.at(from + index) ?? { score: 0, id: '' });
  });
  last.sort((a, b) => b.score - a.score || (a.id < b.id ? 1 : -1));
  return last.slice(0, limit).flatMap(({ id }) => state.tickets.get(id) ?? []);
}
