import type { SegmentPlace } from '../../../core/blobs.ts';

/** What became of a row, as far as it decides which line it gets in which file. */
export interface RowOutcome {
  readonly place: number;
  readonly state: string;
  /** Where its record lies; null for a row that ended without running. */
  readonly record: SegmentPlace | null;
}

/** Two hashes of 32 bits, by their seeds. */
type Hashes = readonly [first: number, second: number];
const SEEDS: Hashes = [0x1e37_79b9, 0x45eb_ca6b];
const U32 = 2 ** 32;

/**
 * A short name for which outcome each row of a batch has: equal for equal outcomes in any order, another one when a single
 * row ends otherwise (but for a chance of 2^-64). It tells apart what Redis says before and after it lost something.
 */
export class OutcomePrint {
  #first = 0;
  #second = 0;
  readonly #texts = new Map<string, Hashes>();

  add({ place, state, record }: RowOutcome): void {
    const ended = this.#hashesOf(state);
    const key = record && this.#hashesOf(record.key);
    // Sums do not depend on the order: files are written by lines, states are read by places.
    this.#first = (this.#first + rowHash(SEEDS[0] ^ place, ended[0], key?.[0] ?? 0, record)) | 0;
    this.#second = (this.#second + rowHash(SEEDS[1] ^ place, ended[1], key?.[1] ?? 0, record)) | 0;
  }

  /** 16 hexadecimal digits. */
  get text(): string {
    return [this.#first, this.#second].map((sum) => (sum >>> 0).toString(16).padStart(8, '0')).join('');
  }

  /** Few texts belong to many rows. */
  #hashesOf(text: string): Hashes {
    const known = this.#texts.get(text);
    if (known) return known;
    const hashes: Hashes = [textHash(SEEDS[0], text), textHash(SEEDS[1], text)];
    this.#texts.set(text, hashes);
    return hashes;
  }
}

function rowHash(seed: number, state: number, key: number, record: SegmentPlace | null): number {
  const hash = mixed(seed, state);
  if (!record) return hash;
  const { offsetBytes, lengthBytes } = record;
  return mixed(mixed(mixed(mixed(hash, key), offsetBytes | 0), (offsetBytes / U32) | 0), lengthBytes | 0);
}

function textHash(seed: number, text: string): number {
  let hash = seed;
  for (let at = 0; at < text.length; at += 1) hash = mixed(hash, text.charCodeAt(at));
  return hash;
}

/** The mixing of MurmurHash3 (https://github.com/aappleby/smhasher), which is in the public domain. */
function mixed(hash: number, value: number): number {
  let bits = hash ^ Math.imul(value ^ (value >>> 15), 0x85eb_ca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2_ae35);
  bits = (Math.imul(bits ^ (bits >>> 16), 0x27d4_eb2d) + 0x1656_67b1) | 0;
  return bits ^ (bits >>> 15);
}
