import type { Readable } from 'node:stream';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import type { ByteRange } from '../../../core/blobs.ts';
import { PilotlightError } from '../../../core/errors.ts';
import type { Bucket } from './object-writer.ts';
import { SMALL_CALL } from './s3-calls.ts';
import { AttemptTimeout, asStoreError, isMissing, noteFailure, statusOf } from './s3-errors.ts';

/** Longest silence between two bytes, while somebody waits for them. */
const SILENCE_MS = 15_000;
/** Broken answers one after the other without a byte in between. */
const MAX_FRUITLESS = 10;

interface Answer {
  readonly body: Readable;
  readonly etag: string | undefined;
  readonly bytes: number;
}

/** The bytes of an object, once; null when there is none. A broken connection is taken up again where it broke. */
export async function readObject(
  bucket: Bucket,
  objectKey: string,
  range: ByteRange | undefined,
  signal: AbortSignal | undefined,
): Promise<AsyncIterableIterator<Uint8Array, undefined> | null> {
  const startBytes = range?.firstByte ?? 0;
  try {
    const answer = await get(bucket, objectKey, range, undefined, signal);
    return new ObjectBytes(bucket, objectKey, startBytes, answer, signal);
  } catch (error) {
    if (isMissing(error)) return null;
    // The range begins behind the last byte.
    if (statusOf(error) === 416) return new ObjectBytes(bucket, objectKey, startBytes, null, signal);
    throw error;
  }
}

async function get(
  { client, calls, name }: Bucket,
  objectKey: string,
  range: ByteRange | undefined,
  etag: string | undefined,
  signal: AbortSignal | undefined,
): Promise<Answer> {
  const command = {
    Bucket: name,
    Key: objectKey,
    ...(range ? { Range: `bytes=${range.firstByte}-${range.lastByte}` } : {}),
    ...(etag === undefined ? {} : { IfMatch: etag }),
  };
  const answer = await calls.run(
    (abortSignal) => client.send(new GetObjectCommand(command), { abortSignal }),
    SMALL_CALL,
    signal,
  );
  return { body: answer.Body as Readable, etag: answer.ETag, bytes: answer.ContentLength ?? 0 };
}

class ObjectBytes implements AsyncIterableIterator<Uint8Array, undefined> {
  readonly #bucket: Bucket;
  readonly #objectKey: string;
  readonly #signal: AbortSignal | undefined;
  readonly #etag: string | undefined;
  readonly #endBytes: number;
  #positionBytes: number;
  #body: Readable | null;
  #chunks: AsyncIterator<unknown> | null = null;

  constructor(
    bucket: Bucket,
    objectKey: string,
    startBytes: number,
    answer: Answer | null,
    signal: AbortSignal | undefined,
  ) {
    this.#bucket = bucket;
    this.#objectKey = objectKey;
    this.#signal = signal;
    this.#etag = answer?.etag;
    this.#positionBytes = startBytes;
    this.#endBytes = startBytes + (answer?.bytes ?? 0);
    this.#body = answer?.body ?? null;
    this.#body?.on('error', () => undefined);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    try {
      for (let fruitless = 0; ; fruitless += 1) {
        this.#signal?.throwIfAborted();
        if (this.#positionBytes >= this.#endBytes) return await this.return();
        this.#body ??= await this.#open();
        const chunk = await this.#chunk(this.#body).catch((error: unknown) => this.#waitAfter(error, fruitless));
        if (chunk === null) continue;
        this.#positionBytes += chunk.byteLength;
        return { done: false, value: chunk };
      }
    } catch (error) {
      await this.return();
      throw asStoreError(error);
    }
  }

  return(): Promise<IteratorReturnResult<undefined>> {
    this.#positionBytes = this.#endBytes;
    this.#drop();
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Throws for what broke. */
  async #chunk(body: Readable): Promise<Uint8Array> {
    this.#chunks ??= body[Symbol.asyncIterator]();
    const next = await this.#withinSilence(this.#chunks.next());
    if (next.done) throw new Error('the answer ended early');
    return next.value as Uint8Array;
  }

  async #open(): Promise<Readable> {
    const range = { firstByte: this.#positionBytes, lastByte: this.#endBytes - 1 };
    try {
      const { body } = await get(this.#bucket, this.#objectKey, range, this.#etag, this.#signal);
      body.on('error', () => undefined);
      return body;
    } catch (error) {
      if (!isMissing(error) && statusOf(error) !== 412 && statusOf(error) !== 416) throw error;
      const message = 'An object in the bucket was changed or removed while it was read.';
      throw new PilotlightError('store_unavailable', message, { cause: error });
    }
  }

  async #waitAfter(error: unknown, fruitless: number): Promise<null> {
    this.#drop();
    this.#signal?.throwIfAborted();
    noteFailure(error);
    if (fruitless >= MAX_FRUITLESS) throw error;
    const { calls } = this.#bucket;
    await calls.sleep(calls.backOffMs(fruitless), this.#signal);
    return null;
  }

  async #withinSilence<T>(step: Promise<T>): Promise<T> {
    const ended = new AbortController();
    const silence = this.#bucket.calls.sleep(SILENCE_MS, ended.signal).then(
      () => Promise.reject(new AttemptTimeout()),
      () => new Promise<never>(() => undefined),
    );
    const aborted = new Promise<never>((_, reject) => {
      this.#signal?.addEventListener('abort', () => reject(this.#signal?.reason as Error), { signal: ended.signal });
    });
    try {
      return await Promise.race([step, silence, aborted]);
    } finally {
      ended.abort();
    }
  }

  #drop(): void {
    this.#body?.destroy();
    this.#body = null;
    this.#chunks = null;
  }
}
