/* eslint-disable @typescript-eslint/require-await -- an order that is down has to reject, not throw */
import type {
  LedgerSnapshot,
  LiveTicket,
  LiveTicketQuery,
  ObjectiveDemand,
  OrderControl,
} from '../../src/core/live-order.ts';

export function demandOf(objective: string, fields: Partial<ObjectiveDemand> = {}): ObjectiveDemand {
  return {
    objective,
    priority: 0,
    waitingHeld: 0,
    waitingStored: 0,
    running: 0,
    stored: 0,
    bytes: 0,
    costTokens: 0,
    oldestAtEpochMs: null,
    deadlines: [],
    arrivedTotal: 0,
    releasedTotal: 0,
    slotMsTotal: 0,
    releasedCostTokensTotal: 0,
    settledTotal: 0,
    ...fields,
  };
}

export function liveTicket(id: string, fields: Partial<LiveTicket> = {}): LiveTicket {
  return {
    id,
    kind: 'held',
    objective: 'nightly',
    priority: -10,
    fairnessId: 'team-a',
    state: 'waiting',
    position: 0,
    reason: 'order',
    endpointId: null,
    owner: 'gateway-1',
    attempt: 1,
    costTokens: 10,
    queuedAtEpochMs: 0,
    expiresAtEpochMs: null,
    ...fields,
  };
}

/** The order of one pool as its operators see it, in memory. */
export class FakeOrder implements OrderControl {
  readonly pool: string;
  readonly paused = new Set<string>();
  tickets: LiveTicket[] = [];
  demands: ObjectiveDemand[] = [];
  nowEpochMs = 100_000;
  /** Rejects instead of answering, as when Redis is away. */
  isDown = false;
  readonly asked: LiveTicketQuery[] = [];

  constructor(pool: string) {
    this.pool = pool;
  }

  async snapshot(): Promise<LedgerSnapshot> {
    this.#reach();
    const { demands: objectives, nowEpochMs } = this;
    return { nowEpochMs, incarnation: '1', activityEpoch: 0, objectives, endpoints: [], owners: 1 };
  }

  async setRules(): Promise<void> {
    this.#reach();
  }

  async setPaused(objective: string, paused: boolean): Promise<void> {
    this.#reach();
    if (paused) this.paused.add(objective);
    else this.paused.delete(objective);
  }

  async pausedObjectives(): Promise<readonly string[]> {
    this.#reach();
    return [...this.paused];
  }

  async list(query: LiveTicketQuery): Promise<readonly LiveTicket[]> {
    this.#reach();
    this.asked.push(query);
    return this.tickets
      .filter(({ objective }) => query.objective === null || objective === query.objective)
      .filter(({ fairnessId }) => query.fairnessId === null || fairnessId === query.fairnessId)
      .slice(0, query.limit);
  }

  async find(id: string): Promise<LiveTicket | null> {
    this.#reach();
    return this.tickets.find((ticket) => ticket.id === id) ?? null;
  }

  #reach(): void {
    if (this.isDown) throw new Error('Redis is away');
  }
}
