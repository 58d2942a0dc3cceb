import { asError } from '../../../core/errors.ts';
import { admit } from './admit.ts';
import { setBulk } from './bulk.ts';
import { paused, setPaused } from './control.ts';
import { confirm, forget, overdue, reserve } from './demand.ts';
import { setEndpoints, setGate, setSoonSlots } from './endpoints.ts';
import { heartbeat, poll } from './heartbeat.ts';
import { closeIfIdle } from './idle.ts';
import { find, list } from './listing.ts';
import { endRecoveryIfDue, leave, open } from './membership.ts';
import type { Failed, LedgerReply, Mail, OpName, Protocol, TurnRequest, TurnResult } from './ops.ts';
import { ackOutbox, outbox } from './outbox.ts';
import { outcomes, settle } from './outcomes.ts';
import { observe } from './quarantine.ts';
import { reassert } from './reassert.ts';
import { finish, release, requeue, withdraw } from './release.ts';
import { setRules } from './set-rules.ts';
import { snapshot } from './snapshot.ts';
import type { LedgerState } from './state.ts';
import { take } from './take.ts';
import { type Turn, takeMail } from './turn.ts';

type Handlers = { readonly [N in OpName]: (turn: Turn, op: Protocol[N]['op']) => Protocol[N]['reply'] };

const HANDLERS: Handlers = {
  ...{ open, admit, take, release, finish, requeue, withdraw, heartbeat, poll, reassert, leave },
  ...{ setEndpoints, setGate, setSoonSlots, setRules, closeIfIdle, observe },
  ...{ reserve, confirm, forget, settle, outcomes, overdue, setBulk, outbox, ackOutbox, snapshot },
  ...{ setPaused, paused, list, find },
};

/** Expired and paused tickets that picks move out of their way; the rest is left to sweeps. */
const MAX_MOVES_PER_TURN = 512;
/** Tickets that all assigns of a turn together put in their places anew, those of one instant as one. */
const MAX_PLACINGS_PER_TURN = 512;

/** What a turn did: the answer for its caller, and the mail of other owners. */
export interface Executed {
  readonly result: TurnResult;
  readonly mail: ReadonlyMap<string, Mail>;
}

/**
 * Executes one turn: every operation in order, at one instant. Nothing is executed (`stale`) for a caller that does
 * not know the present incarnation or whom the ledger does not know; `open` is how he joins. Deterministic.
 */
export function executeTurn(state: LedgerState, request: TurnRequest, nowUs: number): Executed {
  const turn: Turn = {
    ...{ state, owner: request.owner, reach: request.reach, nowUs },
    nowMs: Math.floor(nowUs / 1000),
    grants: [],
    mail: new Map(),
    hints: new Set(),
    entering: null,
    movesLeft: MAX_MOVES_PER_TURN,
    placingsLeft: MAX_PLACINGS_PER_TURN,
    hasLeft: false,
  };
  if (!isAdmitted(state, request)) return { result: { kind: 'stale' }, mail: turn.mail };
  endRecoveryIfDue(turn);
  const replies = request.ops.map((op) => handle(turn, op));
  const mail = takeMail(turn, request.owner);
  const { nowMs, grants } = turn;
  return { result: { kind: 'turned', nowMs, replies, grants, mail, hints: [...turn.hints].sort() }, mail: turn.mail };
}

function isAdmitted(state: LedgerState, { owner, incarnation, ops }: TurnRequest): boolean {
  if (ops[0]?.op === 'open') return true;
  return incarnation !== '' && incarnation === state.incarnation && state.owners.has(owner);
}

/** An operation that cannot be read fails alone. */
function handle<N extends OpName>(turn: Turn, op: Protocol[N]['op'] & { op: N }): LedgerReply | Failed {
  try {
    if (turn.hasLeft) throw new Error('the owner has left');
    return HANDLERS[op.op](turn, op);
  } catch (thrown) {
    return { kind: 'error', message: asError(thrown).message };
  }
}
