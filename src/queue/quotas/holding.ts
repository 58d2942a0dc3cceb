import { SLOT_MS, WINDOW_SLOTS } from '../policy/quotas/window.ts';
import type { Units } from '../policy/quotas/exchange.ts';

/** Units leased in one second. */
export interface Lot extends Units {
  readonly slot: number;
  /** When they came, milliseconds of this process's clock. */
  readonly atMs: number;
}

/** Units that count no more in the store. */
const COUNTED_MS = WINDOW_SLOTS * SLOT_MS;

/** What one replica has leased of one tenant's quotas and not used yet, and what is to go back. */
export class Holding {
  /** Oldest first. */
  #lots: Lot[] = [];
  /** By the second they were leased in. */
  readonly #returns = new Map<number, Units & { readonly atMs: number }>();

  get requests(): number {
    return this.#lots.reduce((sum, lot) => sum + lot.requests, 0);
  }

  get tokens(): number {
    return this.#lots.reduce((sum, lot) => sum + lot.tokens, 0);
  }

  get hasReturns(): boolean {
    return this.#returns.size > 0;
  }

  get isEmpty(): boolean {
    return this.#lots.length === 0 && this.#returns.size === 0;
  }

  add(lot: Lot): void {
    if (lot.requests > 0 || lot.tokens > 0) this.#lots.push(lot);
  }

  /** Takes units out, oldest first; the caller has made sure that there are so many. */
  use(wanted: Units): readonly Lot[] {
    let { requests, tokens } = wanted;
    const used: Lot[] = [];
    const left: Lot[] = [];
    for (const lot of this.#lots) {
      const part = { ...lot, requests: Math.min(requests, lot.requests), tokens: Math.min(tokens, lot.tokens) };
      requests -= part.requests;
      tokens -= part.tokens;
      if (part.requests + part.tokens > 0) used.push(part);
      const rest = { ...lot, requests: lot.requests - part.requests, tokens: lot.tokens - part.tokens };
      if (rest.requests + rest.tokens > 0) left.push(rest);
    }
    this.#lots = left;
    return used;
  }

  /** Units of `parts` will go back; the last leased first. `units` is at most what the parts have. */
  giveBack(parts: readonly Lot[], units: Units, nowMs: number): void {
    let { requests, tokens } = units;
    for (const part of parts.toReversed()) {
      const back = { requests: Math.min(requests, part.requests), tokens: Math.min(tokens, part.tokens) };
      requests -= back.requests;
      tokens -= back.tokens;
      // The store has forgotten them already.
      if (nowMs - part.atMs >= COUNTED_MS || back.requests + back.tokens === 0) continue;
      const known = this.#returns.get(part.slot);
      this.#returns.set(part.slot, {
        requests: back.requests + (known?.requests ?? 0),
        tokens: back.tokens + (known?.tokens ?? 0),
        atMs: part.atMs,
      });
    }
  }

  /** What nobody used since it came, before `beforeMs`, and what is more than `most`, will go back. */
  trim(most: Units, beforeMs: number, nowMs: number): void {
    const old = this.#lots.filter(({ atMs }) => atMs <= beforeMs);
    for (const lot of old) this.giveBack([lot], lot, nowMs);
    this.#lots = this.#lots.filter(({ atMs }) => atMs > beforeMs);
    const excess = {
      requests: Math.max(0, this.requests - most.requests),
      tokens: Math.max(0, this.tokens - most.tokens),
    };
    this.giveBack(this.use(excess), excess, nowMs);
  }

  /** What is to go back; it is told once, for it must not come back twice. */
  takeReturns(): readonly (Units & { readonly slot: number })[] {
    const returns = [...this.#returns].map(([slot, { requests, tokens }]) => ({ slot, requests, tokens }));
    this.#returns.clear();
    return returns;
  }
}
