const LINE_BREAK = new Uint8Array([0x0a]);

/** Finished lines of wrong rows on their way into their blob: `take` them while the file is read. */
export class WrongRows {
  #lines: Uint8Array[] = [];
  #heldBytes = 0;
  #offsetBytes = 0;

  /** Bytes not taken yet. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Where the line will lie in the blob. */
  add(line: Uint8Array): { readonly offsetBytes: number; readonly lengthBytes: number } {
    const place = { offsetBytes: this.#offsetBytes, lengthBytes: line.length };
    this.#lines.push(line, LINE_BREAK);
    this.#heldBytes += line.length + 1;
    this.#offsetBytes += line.length + 1;
    return place;
  }

  /** The next bytes of the blob. */
  take(): Uint8Array<ArrayBuffer> {
    const taken = new Uint8Array(this.#heldBytes);
    let at = 0;
    for (const line of this.#lines) {
      taken.set(line, at);
      at += line.length;
    }
    this.#lines = [];
    this.#heldBytes = 0;
    return taken;
  }
}
