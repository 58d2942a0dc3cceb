import type { Clock } from '../core/clock.ts';
import type { OrderControl } from '../core/live-order.ts';
import type { CatalogSource, PoolKey } from '../core/objects.ts';

/** What operators have paused is asked at most this often, and only while somebody wants to know. */
const ASK_EVERY_MS = 2_000;

export interface PausedObjectivesDeps {
  readonly catalog: Pick<CatalogSource, 'current'>;
  readonly orderOf: (pool: PoolKey) => Pick<OrderControl, 'pausedObjectives'> | undefined;
  readonly clock: Pick<Clock, 'monotonicMs'>;
}

interface Known {
  readonly askedAtMs: number;
  paused: ReadonlySet<string>;
}

/** Which objectives stand still: declared so by their policy, or by an operator, as last heard. */
export class PausedObjectives {
  readonly #deps: PausedObjectivesDeps;
  readonly #known = new Map<PoolKey, Known>();

  constructor(deps: PausedObjectivesDeps) {
    this.#deps = deps;
  }

  readonly isPaused = (pool: PoolKey, objective: string): boolean => {
    const isDeclared = this.#deps.catalog.current().objective(pool, objective)?.paused ?? false;
    return this.#heard(pool).has(objective) || isDeclared;
  };

  #heard(pool: PoolKey): ReadonlySet<string> {
    const nowMs = this.#deps.clock.monotonicMs();
    const known = this.#known.get(pool);
    if (known !== undefined && nowMs - known.askedAtMs < ASK_EVERY_MS) return known.paused;
    const next: Known = { askedAtMs: nowMs, paused: known?.paused ?? new Set() };
    this.#known.set(pool, next);
    this.#deps
      .orderOf(pool)
      ?.pausedObjectives()
      .then(
        (names) => {
          next.paused = new Set(names);
        },
        // An order that is away keeps what was known; it is asked again.
        () => undefined,
      );
    return next.paused;
  }
}
