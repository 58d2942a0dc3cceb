import type { RecordHeader } from '../../jobs/ports.ts';

interface Recent {
  readonly header: RecordHeader;
  readonly body: Uint8Array;
}

/** What a cached record weighs beside its body: header object, reference and map entry. */
const OVERHEAD_BYTES = 1_024;

/** The records written last, up to a size: with a short backlog a job runs before its bytes have to be read again. */
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
      this.#remove(oldest);
    }
  }

  get(ref: string): Recent | undefined {
    return this.#records.get(ref);
  }

  #remove(ref: string): void {
    const record = this.#records.get(ref);
    if (!record) return;
    this.#bytes -= record.body.byteLength + OVERHEAD_BYTES;
    this.#records.delete(ref);
  }
}
