/* eslint-disable @typescript-eslint/require-await -- answers at once, through the same promises as the one in Redis */
import type { Clock } from '../../core/clock.ts';
import { fairTurn, tagOf, timeAfter } from '../../core/fair-tag.ts';
import type { PoolKey } from '../../core/objects.ts';
import { SUPPLY_TTL_MS, type SupplyBook, type SupplyPlace, type SupplyWish } from './ports.ts';

interface Asked {
  readonly deadlineEpochMs: number;
  readonly askedEpochMs: number;
}

interface Lane {
  virtualTime: number;
  readonly finishOf: Map<string, number>;
  /** By tenant, then batch. */
  readonly asked: Map<string, Map<string, Asked>>;
}

/** A supply book of one process, without Redis. */
export class MemorySupplyBook implements SupplyBook {
  readonly #clock: Pick<Clock, 'epochMs'>;
  readonly #lanes = new Map<string, Lane>();

  constructor(clock: Pick<Clock, 'epochMs'>) {
    this.#clock = clock;
  }

  async turn(place: SupplyPlace, wish: SupplyWish): Promise<number | null> {
    const lane = this.#lane(place.pool, place.objective);
    const nowEpochMs = this.#clock.epochMs();
    const asked = this.#ask(place, wish);
    for (const [batchId, { askedEpochMs }] of asked) {
      if (askedEpochMs < nowEpochMs - SUPPLY_TTL_MS) asked.delete(batchId);
    }
    const [first] = [...asked].sort(
      ([one, a], [other, b]) => a.deadlineEpochMs - b.deadlineEpochMs || (one < other ? -1 : 1),
    );
    if (first?.[0] !== wish.batchId) return null;
    const { start, finish } = fairTurn(lane, place.tenant, wish.costTokens, wish.weight);
    lane.finishOf.set(place.tenant, finish);
    return tagOf(start);
  }

  async keep(place: SupplyPlace, wish: SupplyWish): Promise<void> {
    this.#ask(place, wish);
  }

  async leave({ pool, objective, tenant }: SupplyPlace, batchId: string): Promise<void> {
    this.#lane(pool, objective).asked.get(tenant)?.delete(batchId);
  }

  async opened(pool: PoolKey, objective: string, tag: number): Promise<void> {
    const lane = this.#lane(pool, objective);
    lane.virtualTime = timeAfter(lane.virtualTime, tag);
  }

  #ask({ pool, objective, tenant }: SupplyPlace, wish: SupplyWish): Map<string, Asked> {
    const lane = this.#lane(pool, objective);
    const asked = lane.asked.get(tenant) ?? new Map<string, Asked>();
    lane.asked.set(tenant, asked);
    asked.set(wish.batchId, { deadlineEpochMs: wish.deadlineEpochMs, askedEpochMs: this.#clock.epochMs() });
    return asked;
  }

  #lane(pool: PoolKey, objective: string): Lane {
    const key = JSON.stringify([pool, objective]);
    const lane = this.#lanes.get(key) ?? { virtualTime: 0, finishOf: new Map(), asked: new Map() };
    this.#lanes.set(key, lane);
    return lane;
  }
}
