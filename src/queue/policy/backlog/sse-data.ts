const LF = 10;
const CR = 13;

/**
 * The data of each event in a stream of server-sent events (WHATWG HTML, "Parsing an event stream"). Holds one incomplete
 * event; whoever sends the bytes bounds its size.
 */
export class SseData {
  readonly #decoder = new TextDecoder();
  #line: Uint8Array[] = [];
  #data: string[] = [];
  #afterCr = false;

  /** The data of all events that the chunk completes; events without data are left out. */
  push(chunk: Uint8Array): string[] {
    const events: string[] = [];
    let from = 0;
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at];
      if (byte === LF && this.#afterCr) {
        this.#afterCr = false;
        from = at + 1;
        continue;
      }
      this.#afterCr = byte === CR;
      if (byte !== LF && byte !== CR) continue;
      this.#line.push(chunk.subarray(from, at));
      from = at + 1;
      const event = this.#endLine();
      if (event !== null) events.push(event);
    }
    if (from < chunk.length) this.#line.push(chunk.slice(from));
    return events;
  }

  #endLine(): string | null {
    const line = this.#line.map((part, index) => this.#decoder.decode(part, { stream: index < this.#line.length - 1 }));
    this.#line = [];
    const text = line.join('');
    if (text === '') return this.#endEvent();
    if (text === 'data') this.#data.push('');
    else if (text.startsWith('data:')) this.#data.push(text.slice(text.startsWith('data: ') ? 6 : 5));
    return null;
  }

  #endEvent(): string | null {
    if (this.#data.length === 0) return null;
    const data = this.#data.join('\n');
    this.#data = [];
    return data;
  }
}
