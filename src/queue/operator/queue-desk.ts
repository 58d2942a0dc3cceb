import { PilotlightError } from '../../core/errors.ts';
import type {
  LiveTicket,
  LiveTicketQuery,
  ObjectiveDemand,
  OrderControl,
  SlotLedger,
  StoredLedger,
} from '../../core/live-order.ts';
import type { CatalogSource, ObjectiveSpec } from '../../core/objects.ts';
import type {
  DeadLetterDesk,
  ObjectiveQueue,
  PoolQueues,
  QueueDesk,
  TicketExplained,
  TicketPlace,
} from '../../core/queues.ts';
import type { BacklogView } from '../backlog/ports.ts';
import type { JobPlace } from '../jobs/ports.ts';
import { reached } from '../jobs/reached.ts';

/** What the ledger of a pool tells anybody. */
export type LookedAtOrder = Pick<SlotLedger, 'snapshot'> & Pick<StoredLedger, 'pool' | 'outcomes' | 'windows'>;

export interface PoolQueueDeskDeps {
  readonly order: LookedAtOrder;
  /** The same order. */
  readonly control: Pick<OrderControl, 'list' | 'find' | 'setPaused' | 'pausedObjectives'>;
  readonly jobs: BacklogView;
  readonly chunks: BacklogView;
  readonly catalog: CatalogSource;
  /** Where a stored job is kept; null = unknown, or none are kept here. */
  readonly placeOf: (id: string) => Promise<JobPlace | null>;
  readonly deadLetters: DeadLetterDesk | null;
}

/** The queues of one pool: its live order, its backlog and its dead letters, joined for people. */
export class PoolQueueDesk implements QueueDesk {
  readonly deadLetters: DeadLetterDesk | null;
  readonly #deps: PoolQueueDeskDeps;

  constructor(deps: PoolQueueDeskDeps) {
    this.#deps = deps;
    this.deadLetters = deps.deadLetters;
  }

  async look(): Promise<PoolQueues> {
    const { order, control } = this.#deps;
    const [ledger, paused] = await reached(() => Promise.all([order.snapshot(), control.pausedObjectives()]));
    const demands = new Map(ledger.objectives.map((demand) => [demand.objective, demand]));
    const specs = this.#specs();
    const names = new Set([...specs.keys(), ...demands.keys(), ...paused]);
    const objectives = await reached(() =>
      Promise.all(
        [...names].map((name) =>
          this.#objective(name, {
            ...{ spec: specs.get(name), demand: demands.get(name) },
            ...{ byOperator: paused.includes(name), nowEpochMs: ledger.nowEpochMs },
          }),
        ),
      ),
    );
    objectives.sort((a, b) => b.priority - a.priority || a.objective.localeCompare(b.objective));
    return { pool: order.pool, nowEpochMs: ledger.nowEpochMs, objectives };
  }

  tickets(query: LiveTicketQuery): Promise<readonly LiveTicket[]> {
    return reached(() => this.#deps.control.list(query));
  }

  async explain(id: string): Promise<TicketExplained> {
    const { order, control, placeOf } = this.#deps;
    const kept = await reached(() => placeOf(id));
    const place = kept?.pool === order.pool ? kept : null;
    const ticket = await reached(() => control.find(id));
    return {
      pool: order.pool,
      id,
      place: ticket ? { kind: 'live', ticket } : await this.#stored(id, place),
      job: place && {
        objective: place.objective,
        tenant: place.tenant,
        acceptedAtEpochMs: place.acceptedAtEpochMs,
      },
    };
  }

  async setPaused(objective: string, paused: boolean): Promise<void> {
    const { order, control } = this.#deps;
    const known = new Set(this.#specs().keys());
    if (!known.has(objective)) {
      const [ledger, pausedNow] = await reached(() => Promise.all([order.snapshot(), control.pausedObjectives()]));
      for (const name of [...ledger.objectives.map((demand) => demand.objective), ...pausedNow]) known.add(name);
    }
    if (!known.has(objective)) {
      const names = [...known].sort().slice(0, 20).join(', ');
      const message = `Pool ${order.pool} has no objective '${objective.slice(0, 128)}'; it has: ${names}.`;
      throw new PilotlightError('unknown_objective', message, { param: 'objective' });
    }
    await reached(() => control.setPaused(objective, paused));
  }

  async #objective(
    objective: string,
    of: {
      readonly spec: ObjectiveSpec | undefined;
      readonly demand: ObjectiveDemand | undefined;
      readonly byOperator: boolean;
      readonly nowEpochMs: number;
    },
  ): Promise<ObjectiveQueue> {
    const { order, jobs, chunks, deadLetters } = this.#deps;
    const { spec, demand, byOperator, nowEpochMs } = of;
    const [inJobs, inChunks, dead] = await Promise.all([
      jobs.counts(objective),
      chunks.counts(objective),
      deadLetters?.count(objective) ?? null,
    ]);
    const oldestAtEpochMs = demand?.oldestAtEpochMs ?? null;
    return {
      objective,
      priority: spec?.priority ?? demand?.priority ?? 0,
      paused: { byPolicy: spec?.paused ?? false, byOperator },
      waitingHeld: demand?.waitingHeld ?? 0,
      waitingStored: demand?.waitingStored ?? 0,
      running: demand?.running ?? 0,
      stored: demand?.stored ?? 0,
      bytes: demand?.bytes ?? 0,
      oldestWaitMs: oldestAtEpochMs === null ? null : Math.max(0, nowEpochMs - oldestAtEpochMs),
      jobs: inJobs,
      chunks: inChunks,
      window: order.windows().get(objective) ?? 0,
      deadLetters: dead,
    };
  }

  async #stored(id: string, place: JobPlace | null): Promise<TicketPlace> {
    if (!place) return { kind: 'unknown' };
    const { order, jobs, deadLetters } = this.#deps;
    // The backlog before the outcome: a job leaves the one after it has the other.
    const found = await reached(() => jobs.placeOf(id, place.objective));
    const [stored] = await reached(() => order.outcomes([id]));
    if (stored) {
      const letter = stored.outcome.kind === 'failed' ? await deadLetters?.show(id) : null;
      if (letter) return { kind: 'dead_letter', letter };
      return { kind: 'ended', outcome: stored.outcome, endedAtEpochMs: stored.atEpochMs };
    }
    switch (found.kind) {
      case 'held':
        return { kind: 'claimed' };
      case 'delayed':
        return found;
      case 'absent':
        return { kind: 'missing' };
      case 'waiting':
        return { kind: 'backlog', isPaused: (await reached(() => jobs.counts(place.objective))).isPaused };
    }
  }

  #specs(): ReadonlyMap<string, ObjectiveSpec> {
    const { order, catalog } = this.#deps;
    return new Map(
      catalog
        .current()
        .objectivesOf(order.pool)
        .map((spec) => [spec.name, spec]),
    );
  }
}
