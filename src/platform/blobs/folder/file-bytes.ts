import type { FileHandle } from 'node:fs/promises';
import { PilotlightError } from '../../../core/errors.ts';
import { onDisk } from './disk-errors.ts';

const CHUNK_BYTES = 262_144;

/** The bytes of an open file from one position to another, once. The file is closed at their end, or by `return`. */
export class FileBytes implements AsyncIterableIterator<Uint8Array, undefined> {
  readonly #handle: FileHandle;
  readonly #signal: AbortSignal | undefined;
  readonly #endBytes: number;
  #positionBytes: number;
  #isClosed = false;

  constructor(handle: FileHandle, startBytes: number, endBytes: number, signal: AbortSignal | undefined) {
    this.#handle = handle;
    this.#positionBytes = startBytes;
    this.#endBytes = endBytes;
    this.#signal = signal;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    try {
      this.#signal?.throwIfAborted();
      const leftBytes = this.#endBytes - this.#positionBytes;
      if (this.#isClosed || leftBytes <= 0) return await this.return();
      return { done: false, value: await this.#read(Math.min(CHUNK_BYTES, leftBytes)) };
    } catch (error) {
      await this.return();
      throw error;
    }
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      await this.#handle.close();
    }
    return { done: true, value: undefined };
  }

  async #read(lengthBytes: number): Promise<Uint8Array> {
    const buffer = Buffer.allocUnsafe(lengthBytes);
    const { bytesRead } = await onDisk(() => this.#handle.read(buffer, 0, lengthBytes, this.#positionBytes));
    if (bytesRead === 0) {
      throw new PilotlightError('store_unavailable', 'A file in the data folder became shorter while it was read.');
    }
    this.#positionBytes += bytesRead;
    return buffer.subarray(0, bytesRead);
  }
}
