import type { BlobStore } from '../../core/blobs.ts';
import { PilotlightError } from '../../core/errors.ts';
import { type FileLimits, fileTooLarge, storeFull } from '../policy/files/file-rules.ts';
import type { ByteWatch, Digests } from './ports.ts';

/** How often the room that is left is looked at while bytes pass. */
const LOOK_EVERY_BYTES = 67_108_864;

/** Clients find the process free again after about this long. */
const RETRY_AFTER_MS = 5_000;

/** One tenant gets at most this part of the places, so that its slow senders do not shut out everybody else. */
const TENANT_SHARE = 0.75;

export interface IntakeDeps {
  readonly store: BlobStore;
  readonly digests: Digests;
  readonly limits: FileLimits;
}

export interface Taken extends ReturnType<ByteWatch['end']> {
  readonly bytes: number;
}

export interface Sender {
  readonly tenant: string;
  /** What it may send at most, and the setting that says so. */
  readonly limit: { readonly bytes: number; readonly setting: string };
}

/** Takes bytes into the store: so many senders at a time, each up to a limit, and only while there is room. */
export class FileIntake {
  readonly #deps: IntakeDeps;
  readonly #openOf = new Map<string, number>();
  #open = 0;

  constructor(deps: IntakeDeps) {
    this.#deps = deps;
  }

  /** Senders at this moment. */
  get open(): number {
    return this.#open;
  }

  /** Nothing remains of bytes that were refused or broke off. */
  async take(
    key: string,
    source: AsyncIterable<Uint8Array>,
    { tenant, limit }: Sender,
    signal: AbortSignal,
  ): Promise<Taken> {
    this.#enter(tenant);
    try {
      await this.checkRoom(0);
      const meter = new Meter(this.#deps.digests.watch(), limit, () => this.checkRoom(0));
      await this.#deps.store.put(key, meter.through(source), { signal });
      return meter.end();
    } finally {
      this.#leave(tenant);
    }
  }

  #enter(tenant: string): void {
    const { uploadsAtOnce } = this.#deps.limits;
    const own = this.#openOf.get(tenant) ?? 0;
    const share = Math.ceil(uploadsAtOnce * TENANT_SHARE);
    if (this.#open >= uploadsAtOnce || own >= share) {
      const message =
        own >= share
          ? `You are sending ${own} files to this process already; ${share} of its ${uploadsAtOnce} places are the most for one tenant (batches.uploadsAtOnce). Try again later.`
          : `${uploadsAtOnce} files are being received here (batches.uploadsAtOnce). Try again later.`;
      throw new PilotlightError('uploads_full', message, { retryAfterMs: RETRY_AFTER_MS });
    }
    this.#open += 1;
    this.#openOf.set(tenant, own + 1);
  }

  #leave(tenant: string): void {
    this.#open -= 1;
    const own = (this.#openOf.get(tenant) ?? 1) - 1;
    if (own === 0) this.#openOf.delete(tenant);
    else this.#openOf.set(tenant, own);
  }

  /** Takes what this program itself writes: results of accepted work have no limit, and wait for nobody. */
  async takeOwn(key: string, source: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<Taken> {
    const nowhere = { bytes: Number.POSITIVE_INFINITY, setting: '' };
    const meter = new Meter(this.#deps.digests.watch(), nowhere, () => Promise.resolve());
    await this.#deps.store.put(key, meter.through(source), { signal });
    return meter.end();
  }

  /** Throws `store_full` when these bytes would leave too little. */
  async checkRoom(addedBytes: number): Promise<void> {
    const { freeBytes } = this.#deps.limits;
    const left = await this.#deps.store.freeBytes();
    if (left !== null && left - addedBytes < freeBytes) throw storeFull(freeBytes);
  }
}

class Meter {
  readonly #watch: ByteWatch;
  readonly #limit: { readonly bytes: number; readonly setting: string };
  readonly #look: () => Promise<void>;
  #bytes = 0;
  #lookAtBytes = LOOK_EVERY_BYTES;

  constructor(watch: ByteWatch, limit: { bytes: number; setting: string }, look: () => Promise<void>) {
    this.#watch = watch;
    this.#limit = limit;
    this.#look = look;
  }

  async *through(source: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    for await (const chunk of source) {
      this.#bytes += chunk.length;
      if (this.#bytes > this.#limit.bytes) throw fileTooLarge(this.#limit);
      if (this.#bytes >= this.#lookAtBytes) {
        this.#lookAtBytes += LOOK_EVERY_BYTES;
        await this.#look();
      }
      this.#watch.update(chunk);
      yield chunk;
    }
  }

  end(): Taken {
    return { bytes: this.#bytes, ...this.#watch.end() };
  }
}
