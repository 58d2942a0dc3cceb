import type { Gate } from '../../../core/live-order.ts';
import { assign } from './assign.ts';
import { noteCapacity } from './expiry.ts';
import type { Ok, SetEndpointsOp, SetGateOp, SetSoonSlotsOp } from './ops.ts';
import { endpointOf, usedSlots } from './slots.ts';
import type { Endpoint, LedgerState } from './state.ts';
import { unoffer } from './tickets.ts';
import type { Turn } from './turn.ts';

/** Replaces the endpoints. A gate is kept while its endpoint stays in the list; a new endpoint is open. */
export function setEndpoints(turn: Turn, op: SetEndpointsOp): Ok {
  const { state } = turn;
  const known = new Map(state.endpoints.map((endpoint) => [endpoint.id, endpoint]));
  const listed = op.endpoints.map(({ id, slots, adapters }): Endpoint => {
    const before = known.get(id);
    known.delete(id);
    const gate = before?.isListed ? before.gate : 'open';
    return { id, slots, adapters: adapters ?? null, gate, isListed: true };
  });
  for (const endpoint of known.values()) close(turn, endpoint);
  state.endpoints = [...listed, ...[...known.values()].filter((endpoint) => usedSlots(state, endpoint.id) > 0)];
  noteCapacity(turn);
  turn.hints.add('windows');
  assign(turn);
  return { kind: 'ok' };
}

/** `draining` and `closed` both give nothing new; the difference is for those who read it. Unknown ids are ignored. */
export function setGate(turn: Turn, op: SetGateOp): Ok {
  const endpoint = endpointOf(turn.state, op.endpointId);
  if (!endpoint?.isListed) return { kind: 'ok' };
  moveGate(turn, endpoint, op.gate);
  noteCapacity(turn);
  turn.hints.add('windows');
  assign(turn);
  return { kind: 'ok' };
}

export function setSoonSlots(turn: Turn, op: SetSoonSlotsOp): Ok {
  if (turn.state.soonSlots !== op.slots) turn.hints.add('windows');
  turn.state.soonSlots = op.slots;
  return { kind: 'ok' };
}

/** Tickets that were only offered a slot there wait again. */
export function moveGate(turn: Turn, endpoint: Endpoint, gate: Gate): void {
  endpoint.gate = gate;
  if (gate === 'open') return;
  for (const id of [...(turn.state.used.get(endpoint.id) ?? [])]) {
    const ticket = turn.state.tickets.get(id);
    if (ticket?.state === 'offered') unoffer(turn, ticket);
  }
}

/** An endpoint that is gone but still has slots in use, so that they stay counted. */
export function unlistedEndpoint(id: string): Endpoint {
  return { id, slots: 0, adapters: null, gate: 'closed', isListed: false };
}

/** Forgets unlisted endpoints whose last slot came back. */
export function dropUnusedEndpoints(state: LedgerState): void {
  state.endpoints = state.endpoints.filter((endpoint) => endpoint.isListed || usedSlots(state, endpoint.id) > 0);
}

function close(turn: Turn, endpoint: Endpoint): void {
  moveGate(turn, endpoint, 'closed');
  endpoint.slots = 0;
  endpoint.isListed = false;
}
