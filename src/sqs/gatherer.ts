import type { Clock } from '../core/clock.ts';
import { MAX_ENTRIES } from './ports.ts';

export interface GathererOptions<T> {
  readonly clock: Clock;
  /** Of all items of a call; an item of more goes alone. */
  readonly maxWeight?: number;
  readonly weigh?: (item: T) => number;
}

interface Waiting<T, A> {
  readonly item: T;
  readonly resolve: (answer: A) => void;
  readonly reject: (reason: unknown) => void;
}

/** A call is a round trip and money: items wait so long for company. */
const GATHER_MS = 20;

/** Turns single items into calls of up to ten. Each item gets its own answer, or what the whole call threw. */
export class Gatherer<T, A> {
  readonly #call: (items: readonly T[]) => Promise<readonly A[]>;
  readonly #options: GathererOptions<T>;
  #waiting: Waiting<T, A>[] = [];
  #weight = 0;
  #round = 0;

  constructor(call: (items: readonly T[]) => Promise<readonly A[]>, options: GathererOptions<T>) {
    this.#call = call;
    this.#options = options;
  }

  add(item: T): Promise<A> {
    const { clock, weigh = () => 0, maxWeight = Number.POSITIVE_INFINITY } = this.#options;
    const weight = weigh(item);
    if (this.#waiting.length > 0 && this.#weight + weight > maxWeight) this.#flush();
    return new Promise<A>((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      this.#weight += weight;
      if (this.#waiting.length >= MAX_ENTRIES) {
        this.#flush();
      } else if (this.#waiting.length === 1) {
        const round = this.#round;
        void clock.sleep(GATHER_MS).then(() => {
          if (round === this.#round) this.#flush();
        });
      }
    });
  }

  #flush(): void {
    const batch = this.#waiting;
    this.#waiting = [];
    this.#weight = 0;
    this.#round += 1;
    if (batch.length > 0) void this.#make(batch);
  }

  async #make(batch: readonly Waiting<T, A>[]): Promise<void> {
    try {
      const answers = await this.#call(batch.map(({ item }) => item));
      for (const [index, { resolve }] of batch.entries()) resolve(answers[index] as A);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }
}
