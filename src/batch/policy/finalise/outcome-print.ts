import type { SegmentPlace } from '../../../core/blobs.ts';

/** What became of a row, as far as it decides which line it gets in which file. */
export interface RowOutcome {
  readonly place: number;
  readonly state: string;
  /** Where its record lies; null for a row that ended without running. */
  readonly record: SegmentPlace | null;
}

const LANES = [0x9e37_79b9, 0x85eb_ca6b, 0xc2b2_ae35] as const;
const U32 = 2 ** 32;

/**
 * A short name for which outcome each row of a batch has: equal for equal outcomes in any order, another one when a single
 * row ends otherwise (but for a chance of 2^-96). It tells apart what Redis says before and after it lost something.
 */
export class OutcomePrint {
  readonly #sums = LANES.map(() => 0);
  readonly #texts = new Map<string, readonly number[]>();

  add({ place, state, record }: RowOutcome): void {
    const text = this.#textOf(`${state} ${record?.key ?? ''}`);
    for (const [lane, seed] of LANES.entries()) {
      let hash = mixed(seed ^ place, text[lane] ?? 0);
      if (record) {
        hash = mixed(hash, record.offsetBytes % U32);
        hash = mixed(hash, Math.floor(record.offsetBytes / U32));
        hash = mixed(hash, record.lengthBytes);
      }
      // Sums do not depend on the order: files are written by lines, states are read by places.
      this.#sums[lane] = ((this.#sums[lane] ?? 0) + hash) >>> 0;
    }
  }

  /** 24 hexadecimal digits. */
  get text(): string {
    return this.#sums.map((sum) => sum.toString(16).padStart(8, '0')).join('');
  }

  /** Few texts belong to many rows. */
  #textOf(text: string): readonly number[] {
    const known = this.#texts.get(text);
    if (known) return known;
    const hashes = LANES.map((seed) => {
      let hash: number = seed;
      for (let at = 0; at < text.length; at += 1) hash = mixed(hash, text.charCodeAt(at));
      return hash;
    });
    this.#texts.set(text, hashes);
    return hashes;
  }
}

/** The mixing of MurmurHash3 (https://github.com/aappleby/smhasher), which is in the public domain. */
function mixed(hash: number, value: number): number {
  let bits = (hash ^ Math.imul(value ^ (value >>> 15), 0x85eb_ca6b)) | 0;
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2_ae35);
  bits = Math.imul(bits ^ (bits >>> 16), 0x27d4_eb2d) + 0x1656_67b1;
  return (bits ^ (bits >>> 15)) >>> 0;
}
