import type { ObjectiveSpec, PoolKey } from '../../core/objects.ts';
import type { SourceObject } from './parse-objects.ts';
import type { Reporter } from './report.ts';
import type { Surroundings } from './surroundings.ts';

type Policy = SourceObject<'ObjectivePolicy'>;

/** What the objectives of one pool may claim together: the rest stays for those without a claim. */
const MAX_PERCENT = 90;

interface Claim {
  readonly field: 'guaranteedSharePercent' | 'reservedSlotsPercent';
  readonly path: readonly string[];
  readonly what: string;
}

const CLAIMS: readonly Claim[] = [
  { field: 'guaranteedSharePercent', path: ['spec', 'guaranteedSharePercent'], what: 'guaranteed shares' },
  { field: 'reservedSlotsPercent', path: ['spec', 'reservedSlots', 'percent'], what: 'reserved slots' },
];

/**
 * Holds the claims of a pool's objectives to 90 % together, the earlier of the list first. In files more is an error; on a
 * server the claim that goes beyond is dropped with a warning, and the rest of its policy holds.
 */
export class GuaranteeCheck {
  readonly #claimed = new Map<string, number>();
  readonly #surroundings: Surroundings;
  readonly #report: Reporter;

  constructor(surroundings: Surroundings, report: Reporter) {
    this.#surroundings = surroundings;
    this.#report = report;
  }

  /** The objective without a claim for which there is no room. */
  admit(objective: ObjectiveSpec, policy: Policy | undefined): ObjectiveSpec {
    return CLAIMS.reduce((spec, claim) => this.#hold(spec, policy, claim), objective);
  }

  #hold(objective: ObjectiveSpec, policy: Policy | undefined, { field, path, what }: Claim): ObjectiveSpec {
    const percent = objective[field];
    if (percent === 0 || policy === undefined) return objective;
    const key = keyOf(objective.pool, field);
    const before = this.#claimed.get(key) ?? 0;
    if (before + percent <= MAX_PERCENT) {
      this.#claimed.set(key, before + percent);
      return objective;
    }
    const why =
      `the ${what} of pool "${objective.pool}" add up to ${before + percent} % with objective "${objective.name}"; ` +
      `${MAX_PERCENT} at most, so lower some by ${before + percent - MAX_PERCENT}`;
    if (this.#surroundings.served) this.#report.warn(policy, path, why);
    else this.#report.error(policy, path, why);
    return { ...objective, [field]: 0 };
  }
}

function keyOf(pool: PoolKey, field: string): string {
  return `${pool} ${field}`;
}
