/** The blocks that one sequence holds: its first `sharedBlocks` hashed ones, which others may hold too, and its own. */
export interface KvAllocation {
  readonly hashes: readonly number[];
  sharedBlocks: number;
  privateBlocks: number;
}

/**
 * The KV memory of the engine in blocks, with a prefix cache in the part that nobody uses.
 *
 * | block | counted in | becomes |
 * | --- | --- | --- |
 * | blank | what is left | private (`grow`) |
 * | private | `#privateBlocks` | held (`publish`), blank (`close`) |
 * | held: hashed, with holders | `#holders` | idle (last `close`) |
 * | idle: hashed, no holder | `#idle`, least recently used first | held (`open`), blank (evicted by `grow`) |
 *
 * Blank and idle blocks are free: memory use counts private and held ones only, as vLLM's gauge does.
 */
export class KvCache {
  readonly totalBlocks: number;
  #privateBlocks = 0;
  readonly #holders = new Map<number, number>();
  readonly #idle = new Set<number>();

  constructor(totalBlocks: number) {
    this.totalBlocks = totalBlocks;
  }

  get usedBlocks(): number {
    return this.#privateBlocks + this.#holders.size;
  }

  /** Hashed blocks that a coming prompt could reuse. */
  get cachedBlocks(): number {
    return this.#holders.size + this.#idle.size;
  }

  /** 0..1 */
  get usageRatio(): number {
    return this.usedBlocks / this.totalBlocks;
  }

  /** Holds the longest cached run of `hashes`, at most `maxSharedBlocks` long. */
  open(hashes: readonly number[], maxSharedBlocks: number): KvAllocation {
    const allocation: KvAllocation = { hashes, sharedBlocks: 0, privateBlocks: 0 };
    for (const hash of hashes) {
      if (allocation.sharedBlocks === maxSharedBlocks || !this.#isCached(hash)) break;
      this.#hold(hash);
      allocation.sharedBlocks += 1;
    }
    return allocation;
  }

  /** True if the sequence now holds at least `blocks` blocks; false, and nothing changed, if so many are not free. */
  grow(allocation: KvAllocation, blocks: number): boolean {
    const missing = blocks - allocation.sharedBlocks - allocation.privateBlocks;
    if (missing <= 0) return true;
    if (missing > this.totalBlocks - this.usedBlocks) return false;
    while (missing > this.totalBlocks - this.usedBlocks - this.#idle.size) this.#evictOldest();
    this.#privateBlocks += missing;
    allocation.privateBlocks += missing;
    return true;
  }

  /** Makes the first `computedBlocks` hashed blocks of the sequence reusable by others. */
  publish(allocation: KvAllocation, computedBlocks: number): void {
    const until = Math.min(computedBlocks, allocation.hashes.length);
    while (allocation.sharedBlocks < until && allocation.privateBlocks > 0) {
      const hash = allocation.hashes[allocation.sharedBlocks];
      if (hash === undefined) return;
      this.#hold(hash); // computed twice at once: the second copy goes back to the blank ones
      allocation.sharedBlocks += 1;
      allocation.privateBlocks -= 1;
      this.#privateBlocks -= 1;
    }
  }

  /** Gives all blocks of the sequence back. Hashed ones stay cached; the tail of the prompt will be evicted first. */
  close(allocation: KvAllocation): void {
    this.#privateBlocks -= allocation.privateBlocks;
    for (let block = allocation.sharedBlocks - 1; block >= 0; block -= 1) {
      const hash = allocation.hashes[block];
      if (hash !== undefined) this.#letGo(hash);
    }
    allocation.sharedBlocks = 0;
    allocation.privateBlocks = 0;
  }

  #isCached(hash: number): boolean {
    return this.#holders.has(hash) || this.#idle.has(hash);
  }

  #hold(hash: number): void {
    this.#idle.delete(hash);
    this.#holders.set(hash, (this.#holders.get(hash) ?? 0) + 1);
  }

  #letGo(hash: number): void {
    const holders = (this.#holders.get(hash) ?? 1) - 1;
    if (holders > 0) {
      this.#holders.set(hash, holders);
      return;
    }
    this.#holders.delete(hash);
    this.#idle.add(hash);
  }

  #evictOldest(): void {
    for (const hash of this.#idle) {
      this.#idle.delete(hash);
      return;
    }
  }
}
