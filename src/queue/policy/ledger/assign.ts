import { ageSome, replaceSome } from './moves.ts';
import { nextTicket, type Pick } from './pick.ts';
import { bestRanked, isOtherFree } from './slots.ts';
import { grant, offer, runEntering } from './tickets.ts';
import { isRecovering, type Turn } from './turn.ts';

/** Offers one assign makes; what is left is owed, and the next assign goes on. */
const MAX_OFFERS_PER_ASSIGN = 256;

/**
 * Gives every free slot to the ticket that it is owed to. Run by whatever frees a slot, adds a ticket, opens an
 * endpoint or widens its slots, so that afterwards no waiting ticket may use a free slot.
 */
export function assign(turn: Turn): void {
  if (isRecovering(turn.state)) return;
  ageSome(turn);
  replaceSome(turn);
  for (let offers = 0; offers < MAX_OFFERS_PER_ASSIGN; offers += 1) {
    const pick = nextTicket(turn);
    if (pick === undefined) {
      turn.state.isAssignOwed = turn.state.replacing.size > 0 || turn.movesLeft === 0;
      return;
    }
    handOut(turn, pick);
  }
  turn.state.isAssignOwed = true;
}

function handOut(turn: Turn, pick: Pick): void {
  const { state, entering } = turn;
  if (entering?.ticket === pick.ticket) {
    const endpointId = bestRanked(state, pick.ticket, entering.ranking);
    if (endpointId === undefined) offer(turn, pick);
    else runEntering(turn, { ...pick, endpointId });
  } else if (isWithoutChoice(turn, pick)) grant(turn, pick);
  else offer(turn, pick);
}

/** The owner is here and could take this slot only: to ask him would cost a turn and change nothing. */
function isWithoutChoice({ state, owner, reach }: Turn, { ticket, endpointId }: Pick): boolean {
  return ticket.owner === owner && reach.includes(endpointId) && !isOtherFree(state, ticket, endpointId);
}
