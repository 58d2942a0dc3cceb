/** Of each slot: three words of hash, and the number that was put in plus one; 0 = free. */
const SLOT_WORDS = 4;
const FIRST_SLOTS = 1_024;
const MAX_LOAD = 0.75;

/**
 * Which ids were seen, and where first. Keeps 96 bits of each, not the id: memory follows the count of ids (at most 43
 * bytes each) whatever their length. Two ids of a million are taken for one once in 10^17 files.
 */
export class IdTable {
  #slots = FIRST_SLOTS;
  #words = new Uint32Array(FIRST_SLOTS * SLOT_WORDS);
  #count = 0;

  /** The number under which this id came first; undefined when it is new, and noted now. Numbers: 0..2^32−2. */
  firstOf(id: string, number: number): number | undefined {
    if (this.#count + 1 > this.#slots * MAX_LOAD) this.#grow();
    const [a, b, c] = hash96(id);
    const at = this.#slotOf(a, b, c);
    const first = this.#words[at + 3] ?? 0;
    if (first !== 0) return first - 1;
    this.#put(at, a, b, c, number + 1);
    this.#count += 1;
    return undefined;
  }

  /** First word of the slot that holds this hash, or of the free one where it belongs. */
  #slotOf(a: number, b: number, c: number): number {
    const words = this.#words;
    for (let slot = a & (this.#slots - 1); ; slot = (slot + 1) & (this.#slots - 1)) {
      const at = slot * SLOT_WORDS;
      if (words[at + 3] === 0 || (words[at] === a && words[at + 1] === b && words[at + 2] === c)) return at;
    }
  }

  #put(at: number, a: number, b: number, c: number, number: number): void {
    this.#words[at] = a;
    this.#words[at + 1] = b;
    this.#words[at + 2] = c;
    this.#words[at + 3] = number;
  }

  #grow(): void {
    const old = this.#words;
    this.#slots *= 2;
    this.#words = new Uint32Array(this.#slots * SLOT_WORDS);
    for (let at = 0; at < old.length; at += SLOT_WORDS) {
      const number = old[at + 3] ?? 0;
      if (number === 0) continue;
      const [a = 0, b = 0, c = 0] = old.subarray(at, at + 3);
      this.#put(this.#slotOf(a, b, c), a, b, c, number);
    }
  }
}

/**
 * Three lanes of 32 bits over the UTF-16 units, each with multiplier and final mix of MurmurHash3
 * (https://github.com/aappleby/smhasher, public domain). Nobody gains by a collision: it would refuse a file of one's own.
 */
function hash96(id: string): readonly [number, number, number] {
  let a = 0x9e3779b9 ^ id.length;
  let b = 0x85ebca6b;
  let c = 0xc2b2ae35;
  for (let index = 0; index < id.length; index += 1) {
    const unit = id.charCodeAt(index);
    a = Math.imul(a ^ unit, 0xcc9e2d51);
    a = (a << 15) | (a >>> 17);
    b = Math.imul(b ^ unit, 0x1b873593);
    b = ((b << 13) | (b >>> 19)) + a;
    c = Math.imul(c + unit, 0x38b34ae5) ^ b;
    c = (c << 11) | (c >>> 21);
  }
  return [mixed(a ^ c), mixed(b + a), mixed(c ^ b)];
}

function mixed(word: number): number {
  let h = word;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
