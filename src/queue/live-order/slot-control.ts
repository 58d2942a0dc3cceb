import type { EndpointSlots, Gate, LedgerSnapshot, ObjectiveRules } from '../../core/live-order.ts';
import type { Ask } from './stored-requests.ts';

export interface SlotControlDeps {
  readonly ask: Ask;
  readonly incarnation: () => string;
  readonly ledgerNowMs: () => number;
}

/** The part of the ledger that dispatcher and autoscaler set, remembered so that a ledger that lost it gets it back. */
export class SlotControl {
  readonly #deps: SlotControlDeps;
  #endpoints: readonly EndpointSlots[] | null = null;
  #gates = new Map<string, Gate>();
  #soonSlots: number | null = null;
  #rules: readonly ObjectiveRules[] | null = null;

  constructor(deps: SlotControlDeps) {
    this.#deps = deps;
  }

  async setEndpoints(endpoints: readonly EndpointSlots[]): Promise<void> {
    this.#endpoints = endpoints;
    this.#forgetGatesBut(new Set(endpoints.map(({ id }) => id)));
    await this.#deps.ask({
      op: 'setEndpoints',
      endpoints: endpoints.map(({ id, slots, adapters }) => ({ id, slots, ...(adapters && { adapters }) })),
    });
  }

  forgetEndpoints(): void {
    this.#endpoints = null;
  }

  async setGate(endpointId: string, gate: Gate): Promise<void> {
    this.#gates.set(endpointId, gate);
    await this.#deps.ask({ op: 'setGate', endpointId, gate });
  }

  async setSoonSlots(slots: number): Promise<void> {
    this.#soonSlots = slots;
    await this.#deps.ask({ op: 'setSoonSlots', slots });
  }

  /** Rules of all objectives. */
  async setRules(rules: readonly ObjectiveRules[]): Promise<void> {
    this.#rules = rules;
    await this.#deps.ask({ op: 'setRules', rules: rules.map((rule) => ({ ...rule, agingMs: rule.agingMs ?? 0 })) });
  }

  async closeIfIdle(activityEpoch: number): Promise<boolean> {
    const { closed } = await this.#deps.ask({ op: 'closeIfIdle', activityEpoch });
    if (closed) for (const { id } of this.#endpoints ?? []) this.#gates.set(id, 'closed');
    return closed;
  }

  async snapshot(): Promise<LedgerSnapshot> {
    const { activityEpoch, recovering, owners, objectives, endpoints } = await this.#deps.ask({ op: 'snapshot' });
    if (this.#endpoints === null && !recovering) this.#forgetGatesBut(new Set(endpoints.map(({ id }) => id)));
    return {
      nowEpochMs: this.#deps.ledgerNowMs(),
      incarnation: this.#deps.incarnation(),
      ...{ activityEpoch, recovering, owners, endpoints },
      objectives: objectives.map((line) => ({ ...line, oldestAtEpochMs: line.oldestAtEpochMs || null })),
    };
  }

  /** Gates of endpoints that are gone: whoever sets no endpoints learns of that from the ledger. */
  #forgetGatesBut(ids: ReadonlySet<string>): void {
    for (const id of this.#gates.keys()) if (!ids.has(id)) this.#gates.delete(id);
  }

  /** Tells a new incarnation what this process had set. */
  async restore(): Promise<void> {
    const gates = [...this.#gates];
    const tasks: Promise<void>[] = [];
    if (this.#rules) tasks.push(this.setRules(this.#rules));
    if (this.#endpoints) tasks.push(this.setEndpoints(this.#endpoints));
    for (const [endpointId, gate] of gates) tasks.push(this.setGate(endpointId, gate));
    if (this.#soonSlots !== null) tasks.push(this.setSoonSlots(this.#soonSlots));
    await Promise.all(tasks);
  }
}
