import { OrderedSet } from './ordered-set.ts';
import { type Band, getOrMake, type LedgerState, type Ticket } from './state.ts';

/**
 * Fairness between the flows of a band, a flow being one fairness id: start-time fair queueing (Goyal, Vin, Cheng,
 * SIGCOMM 1996) by tokens. The flow with the least virtual time is served next; being served moves it on by the tokens
 * over its weight. Who begins to wait begins where the band stands, so that idling saves nothing up.
 */

/**
 * Flows that a band tells apart; all further ones are one flow, OVERFLOW, which no fairness id can be called. A tenant at its
 * limit has its own all the same, so that it blocks nobody: there are no more of those than slots.
 */
export const MAX_FLOWS_PER_BAND = 10_000;
export const OVERFLOW = '\n*';
/** How far a flow that could not be served may stay behind its band: 20,000 tokens of weight 1. */
const MAX_LAG = 20_000_000;
const MAX_PRUNED = 256;
/** Most that one ticket is charged: an answer limit or a count of an engine that is beyond any context sets nobody back for ever. */
const MAX_CHARGED_TOKENS = 1_000_000;

export function flowOf(ticket: Pick<Ticket, 'isOverflow' | 'fairnessId'>): string {
  return ticket.isOverflow ? OVERFLOW : ticket.fairnessId;
}

export function bandOf(state: LedgerState, band: number): Band {
  return getOrMake(state.bands, band, () => ({ virtualTime: 0, waiting: 0, flows: new Map(), idle: new OrderedSet() }));
}

/** Its tenant holds as many slots of this pool as it may. */
export function isAtLimit(
  state: LedgerState,
  ticket: { readonly fairnessId: string; readonly maxConcurrency: number },
): boolean {
  return ticket.maxConcurrency > 0 && (state.tenantSlots.get(ticket.fairnessId) ?? 0) >= ticket.maxConcurrency;
}

/** The flow that the ticket joins has something waiting from now on. */
export function joinFlow(state: LedgerState, ticket: Ticket): void {
  const band = bandOf(state, ticket.band);
  ticket.isOverflow = false;
  if (!band.flows.has(ticket.fairnessId) && band.flows.size >= MAX_FLOWS_PER_BAND) {
    pruneIdleFlows(band);
    ticket.isOverflow = band.flows.size >= MAX_FLOWS_PER_BAND && !isAtLimit(state, ticket);
  }
  const flow = flowOf(ticket);
  const time = band.flows.get(flow);
  if (time === undefined) band.flows.set(flow, band.virtualTime);
  else if (band.idle.delete(flow)) band.flows.set(flow, Math.max(time, band.virtualTime));
}

/** The flow's last line in the band is gone. */
export function leaveFlow(state: LedgerState, bandNumber: number, flow: string): void {
  for (const queue of state.queues.values()) if (queue.band === bandNumber && queue.lines.has(flow)) return;
  const band = bandOf(state, bandNumber);
  band.idle.add(flow, band.flows.get(flow) ?? 0);
}

/** A waiting ticket is served: the band has come to where its flow stood, unless it is served out of turn by a share. */
export function serve(state: LedgerState, ticket: Ticket, isByShare: boolean): void {
  const band = bandOf(state, ticket.band);
  const flow = flowOf(ticket);
  const time = Math.max(band.flows.get(flow) ?? 0, band.virtualTime - MAX_LAG);
  if (!isByShare) band.virtualTime = Math.max(band.virtualTime, time);
  ticket.chargedTokens = Math.max(1, Math.min(MAX_CHARGED_TOKENS, ticket.costTokens));
  setTime(state, ticket.band, flow, time + units(ticket.chargedTokens, ticket.weight));
}

/** Charges `tokens` instead of what was charged; 0 takes the charge back. What ran without waiting is charged nothing. */
export function recharge(state: LedgerState, ticket: Ticket, tokens: number): void {
  const charged = Math.min(MAX_CHARGED_TOKENS, tokens);
  const change = units(charged, ticket.weight) - units(ticket.chargedTokens, ticket.weight);
  ticket.chargedTokens = charged;
  if (change === 0) return;
  const flow = flowOf(ticket);
  const band = bandOf(state, ticket.band);
  setTime(state, ticket.band, flow, (band.flows.get(flow) ?? band.virtualTime) + change);
}

/** Forgets flows that would begin where they stand anyway. */
export function pruneIdleFlows(band: Band): void {
  for (const flow of band.idle.upTo(band.virtualTime, MAX_PRUNED)) {
    band.idle.delete(flow);
    band.flows.delete(flow);
  }
}

/** Takes the flow out of one queue's index: its tenant holds as many slots as it may. */
export function capFlow(state: LedgerState, queueKey: string, flow: string): void {
  const queue = state.queues.get(queueKey);
  queue?.flows.delete(flow);
  if (queue?.flows.size === 0) state.queueOrder.delete(queueKey);
  getOrMake(state.capped, flow, () => new Set()).add(queueKey);
}

/** The tenant gave a slot back: its flow may run again, from where its bands stand now. */
export function uncapFlow(state: LedgerState, flow: string): void {
  const keys = state.capped.get(flow);
  if (keys === undefined) return;
  state.capped.delete(flow);
  for (const key of keys) {
    const queue = state.queues.get(key);
    if (!queue?.lines.has(flow)) continue;
    const band = bandOf(state, queue.band);
    const time = Math.max(band.flows.get(flow) ?? 0, band.virtualTime);
    setTime(state, queue.band, flow, time);
    queue.flows.add(flow, time);
    state.queueOrder.add(key, -queue.band);
  }
}

/** Keeps every index that has the flow in step. An idle one is only kept while it is ahead of its band. */
function setTime(state: LedgerState, bandNumber: number, flow: string, time: number): void {
  const band = bandOf(state, bandNumber);
  const isWaiting = band.flows.has(flow) && !band.idle.has(flow);
  if (!isWaiting && time <= band.virtualTime) {
    band.flows.delete(flow);
    band.idle.delete(flow);
    return;
  }
  band.flows.set(flow, time);
  if (!isWaiting) {
    band.idle.add(flow, time);
    return;
  }
  for (const queue of state.queues.values()) {
    if (queue.band === bandNumber && queue.flows.has(flow)) queue.flows.add(flow, time);
  }
}

function units(tokens: number, weight: number): number {
  return Math.floor((tokens * 1_000) / weight);
}
