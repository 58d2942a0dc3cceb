/**
 * Which prompt blocks an endpoint has probably in its KV cache, learned from what was sent there. Approximate: it does
 * not hear of evictions. Method: hash chain over fixed blocks, so that one hash stands for everything before it
 * (approx-prefix-cache-producer of the llm-d router; vLLM's own automatic prefix caching works alike).
 */

/** 64 tokens of about four characters: the smallest block that the llm-d router uses, whatever the engine's own. */
const BLOCK_TOKENS = 64;
export const BLOCK_CHARS = BLOCK_TOKENS * 4;

/** Longest prefix that is compared: 131,072 tokens. */
export const MAX_BLOCKS = 2_048;

/** Blocks remembered for an endpoint that does not report its cache size (llm-d router: lruCapacityPerServer). */
export const DEFAULT_CAPACITY_BLOCKS = 31_250;
const MAX_CAPACITY_BLOCKS = 131_072;

/** 32 bits, as a signed integer: those are kept without an object each. Two prompts are taken for one in 30,000 times at most. */
type Hash = (text: string, seed: number) => number;

/** Chained hashes of the full blocks of `prompt`; `model` and `adapter` seed the chain. A last partial block is left out. */
export function blockHashes(hash: Hash, seedText: string, prompt: string): readonly number[] {
  const count = Math.min(MAX_BLOCKS, Math.floor(prompt.length / BLOCK_CHARS));
  const hashes: number[] = [];
  if (count === 0) return hashes;
  let seed = hash(seedText, 0);
  for (let block = 0; block < count; block += 1) {
    seed = hash(prompt.slice(block * BLOCK_CHARS, (block + 1) * BLOCK_CHARS), seed);
    hashes.push(seed);
  }
  return hashes;
}

/** Blocks that fit into an engine's KV cache; the default when it does not say. */
export function capacityBlocks(blockSizeTokens: number | undefined, numBlocks: number | undefined): number {
  if (blockSizeTokens === undefined || numBlocks === undefined) return DEFAULT_CAPACITY_BLOCKS;
  return Math.min(MAX_CAPACITY_BLOCKS, Math.max(1, Math.floor((blockSizeTokens * numBlocks) / BLOCK_TOKENS)));
}

/** The block hashes of one endpoint, least recently used first. Bounded. */
export class PrefixIndex {
  readonly #seen = new Set<number>();
  /** Goes on where the last eviction ended: a new iterator would pass over everything that was ever removed before. */
  readonly #oldestFirst = this.#seen.values();
  #capacity = DEFAULT_CAPACITY_BLOCKS;

  get size(): number {
    return this.#seen.size;
  }

  /** At least 1. */
  setCapacity(blocks: number): void {
    this.#capacity = blocks;
    this.#evict();
  }

  /** Length of the longest known run from the start. O(blocks). */
  matched(hashes: readonly number[]): number {
    let run = 0;
    for (const hash of hashes) {
      if (!this.#seen.has(hash)) break;
      run += 1;
    }
    return run;
  }

  /** Marks the blocks as used now, the first ones last: a chain loses its tail before its start. O(blocks). */
  add(hashes: readonly number[]): void {
    for (let index = hashes.length - 1; index >= 0; index -= 1) {
      const hash = hashes[index];
      if (hash === undefined) continue;
      this.#seen.delete(hash);
      this.#seen.add(hash);
    }
    this.#evict();
  }

  #evict(): void {
    while (this.#seen.size > this.#capacity) {
      const { done, value } = this.#oldestFirst.next();
      if (done) return;
      this.#seen.delete(value);
    }
  }
}
