import { type Activation, type ActivationInput, activation } from './activation.ts';
import { isLive, isUndrainable } from './pod-order.ts';
import type { ObjectiveView, Snapshot } from './snapshot.ts';

/**
 * Guests: work of objectives that may not extend keep-warm. It runs while the pool is up for the sake of others, in slots
 * that are free anyway, and neither adds replicas nor holds any. It has the pool for itself only when its own rules would
 * have woken it: then it is *owed* the pool, from that moment until none of it is left or the pool has gone to zero.
 */

/** The snapshot with paused objectives reduced to what runs: what waits there neither wakes a pool nor holds it. */
export function withoutPaused(snapshot: Snapshot): Snapshot {
  if (!snapshot.objectives.some(({ paused }) => paused)) return snapshot;
  const objectives = snapshot.objectives.map((objective) =>
    objective.paused ? { ...objective, queued: 0, oldestAgeMs: null, due: [], perS60: 0, perS300: 0 } : objective,
  );
  return { ...snapshot, objectives };
}

/** What waits of paused objectives. */
export interface PausedWork {
  readonly requests: number;
  readonly objectives: readonly string[];
}

export function pausedWork({ objectives }: Snapshot): PausedWork {
  const waiting = objectives.filter(({ paused, queued }) => paused && queued > 0);
  return {
    requests: waiting.reduce((sum, { queued }) => sum + queued, 0),
    objectives: waiting.map(({ name }) => name),
  };
}

/** "500 requests of nightly are paused", or nothing. */
export function pausedWords({ requests, objectives }: PausedWork): readonly string[] {
  if (requests === 0) return [];
  const of = objectives.join(', ');
  return [requests === 1 ? `1 request of ${of} is paused` : `${requests} requests of ${of} are paused`];
}

/** The snapshot without guests: what counts while they are not owed the pool. */
export function withoutGuests(snapshot: Snapshot): Snapshot {
  if (!snapshot.objectives.some(({ isGuest }) => isGuest)) return snapshot;
  const objectives = snapshot.objectives.map((objective) =>
    objective.isGuest ? { ...objective, queued: 0, running: 0, oldestAgeMs: null, due: [] } : objective,
  );
  return { ...snapshot, objectives };
}

/** Requests that wait or run. */
export function outstanding({ objectives }: Snapshot): number {
  return objectives.reduce((sum, objective) => sum + requests(objective), 0);
}

/**
 * Whether guests are owed the pool. Work that must not wait always is. A deadline is looked at with all that is due before
 * it; a boot that guests and others are worth only together is owed to both.
 */
export function areGuestsOwed(snapshot: Snapshot, input: ActivationInput, { wake }: Activation): boolean {
  const guests = snapshot.objectives.filter((one) => one.isGuest && requests(one) > 0);
  if (guests.length === 0) return false;
  if (guests.some((one) => one.activation === 'Immediate')) return true;
  const exists = snapshot.replicas.some((replica) => isLive(replica) || isUndrainable(replica));
  if (snapshot.history.guestsOwed && exists) return true;
  const names = new Set(guests.map(({ name }) => name));
  const own = activation({ ...input, objectives: guests, isMeant: (objective) => names.has(objective) });
  return own.wake !== null || wake?.rule === 'economics';
}

function requests({ queued, running }: ObjectiveView): number {
  return queued + running;
}
