/** A place in an OrderedSet. */
export interface Scored {
  readonly score: number;
  readonly id: string;
}

/**
 * Unique ids in order of score, ties in order of id: a Redis sorted set. Insertion and removal are O(n) moves of a
 * packed array with an O(log n) search, which is quicker than a tree up to some hundred thousand entries.
 */
export class OrderedSet {
  #entries: Scored[] = [];
  readonly #scores = new Map<string, number>();

  get size(): number {
    return this.#entries.length;
  }

  /** Adds the id, or moves it to the new score. */
  add(id: string, score: number): void {
    if (this.#scores.get(id) === score) return;
    this.delete(id);
    this.#scores.set(id, score);
    this.#entries.splice(this.#indexOf(score, id), 0, { score, id });
  }

  delete(id: string): boolean {
    const score = this.#scores.get(id);
    if (score === undefined) return false;
    this.#scores.delete(id);
    this.#entries.splice(this.#indexOf(score, id), 1);
    return true;
  }

  clear(): void {
    this.#entries = [];
    this.#scores.clear();
  }

  has(id: string): boolean {
    return this.#scores.has(id);
  }

  score(id: string): number | undefined {
    return this.#scores.get(id);
  }

  /** How many are before it; undefined = it is not here. */
  rank(id: string): number | undefined {
    const score = this.#scores.get(id);
    return score === undefined ? undefined : this.#indexOf(score, id);
  }

  /** The first ids with a score above `score`, and all that have the score of the last of them. */
  after(score: number, limit: number): string[] {
    const from = this.#indexOf(score, '\uffff');
    const last = this.#entries[Math.min(from + limit, this.#entries.length) - 1];
    if (last === undefined || from + limit > this.#entries.length) return this.ids().slice(from);
    return this.#entries.slice(from, this.#indexOf(last.score, '\uffff')).map((entry) => entry.id);
  }

  at(index: number): Scored | undefined {
    return this.#entries[index];
  }

  /** How many have a smaller score. */
  countBelow(score: number): number {
    return this.#indexOf(score, '');
  }

  /** The first ids with a score of at most `maxScore`, a copy. */
  upTo(maxScore: number, limit: number): string[] {
    const ids: string[] = [];
    for (const entry of this.#entries) {
      if (entry.score > maxScore || ids.length >= limit) break;
      ids.push(entry.id);
    }
    return ids;
  }

  ids(): string[] {
    return this.#entries.map((entry) => entry.id);
  }

  /** Index of the first entry that is not before (score, id). */
  #indexOf(score: number, id: string): number {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const entry = this.#entries[middle];
      if (entry !== undefined && (entry.score < score || (entry.score === score && entry.id < id))) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
