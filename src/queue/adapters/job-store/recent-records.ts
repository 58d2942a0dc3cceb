import type { RecordHeader } from '../../jobs/ports.ts';

interface Recent {
  readonly header: RecordHeader;
  readonly body: Uint8Array;
}

/** What a cached record weighs beside its body: header object, reference and map entry. */
const OVERHEAD_BYTES = 1_024;

/** Records that were just written and are about to be read, once: a job with a short wait is never read from the disk. */
export class RecentRecords {
  readonly #maxBytes: number;
  /** Oldest first. */
  readonly #records = new Map<string, Recent>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  add(ref: string, header: RecordHeader, body: Uint8Array): void {
    this.#bytes += body.byteLength + OVERHEAD_BYTES;
    this.#records.set(ref, { header, body });
    for (const oldest of this.#records.keys()) {
      if (this.#bytes <= this.#maxBytes) return;
      this.take(oldest);
    }
  }

  peek(ref: string): Recent | undefined {
    return this.#records.get(ref);
  }

  /** The record, which is then forgotten. */
  take(ref: string): Recent | undefined {
    const record = this.#records.get(ref);
    if (!record) return undefined;
    this.#bytes -= record.body.byteLength + OVERHEAD_BYTES;
    this.#records.delete(ref);
    return record;
  }
}
