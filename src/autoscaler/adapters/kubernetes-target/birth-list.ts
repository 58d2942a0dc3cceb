/** A replica that was asked for and has no pod yet. */
export interface Unborn {
  readonly uid: string;
  readonly askedAtEpochMs: number;
}

/**
 * Replicas of one target that have no pod yet, oldest first. Each keeps its name until a pod takes its place, so that
 * the next look sees the same one and never orders it twice. At most as many as the target asks for.
 */
export class BirthList {
  readonly #target: string;
  #unborn: readonly Unborn[] = [];
  #next = 1;

  constructor(target: string) {
    this.#target = target;
  }

  get list(): readonly Unborn[] {
    return this.#unborn;
  }

  /** The oldest gets its pod; returns when it was asked for. Null = nothing was asked for that is known of. */
  born(): number | null {
    const [first, ...rest] = this.#unborn;
    this.#unborn = rest;
    return first?.askedAtEpochMs ?? null;
  }

  /** Makes it as many as are missing now: the youngest go first. */
  resize(missing: number, nowEpochMs: number): void {
    const kept = this.#unborn.slice(0, Math.max(0, missing));
    const added = Array.from({ length: Math.max(0, missing - kept.length) }, () => this.#name(nowEpochMs));
    if (kept.length !== this.#unborn.length || added.length > 0) this.#unborn = [...kept, ...added];
  }

  #name(askedAtEpochMs: number): Unborn {
    const uid = `requested-${this.#target}-${this.#next}`;
    this.#next += 1;
    return { uid, askedAtEpochMs };
  }
}
