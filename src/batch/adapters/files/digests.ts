import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import type { ByteWatch, Digests } from '../../files/ports.ts';
import { headLength, tailLength } from '../../policy/files/text-edges.ts';

export const digests: Digests = {
  watch: () => new Watch(),
  ofTexts: (texts) => createHash('sha256').update(texts.join('\n')).digest('hex'),
  md5() {
    const hash = createHash('md5');
    return { update: (bytes) => void hash.update(bytes), hex: () => hash.digest('hex') };
  },
};

const NOTHING = Buffer.alloc(0);

class Watch implements ByteWatch {
  readonly #hash = createHash('sha256');
  #head = NOTHING;
  /** Only bytes of the head so far. */
  #inHead = true;
  #tail = NOTHING;
  #ok = true;

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    if (!this.#ok || bytes.length === 0) return;
    let text = this.#tail.length === 0 ? bytes : Buffer.concat([this.#tail, bytes]);
    if (this.#inHead) {
      const joined = Buffer.concat([this.#head, text]);
      const length = headLength(joined);
      this.#head = Buffer.from(joined.subarray(0, length));
      this.#inHead = length === joined.length;
      text = joined.subarray(length);
    }
    const open = tailLength(text);
    this.#tail = Buffer.from(text.subarray(text.length - open));
    this.#ok = isUtf8(text.subarray(0, text.length - open));
  }

  end(): ReturnType<ByteWatch['end']> {
    const edges = {
      ok: this.#ok,
      head: this.#head.toString('hex'),
      tail: this.#tail.toString('hex'),
      headOnly: this.#inHead,
    };
    return { sha256: this.#hash.digest('hex'), edges };
  }
}
