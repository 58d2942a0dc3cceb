import { randomUUID } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { PutAnswer } from '../../../core/blobs.ts';
import { inParts } from './parts.ts';
import { type CallLimits, PART_CALL, type S3Calls, SMALL_CALL } from './s3-calls.ts';
import { isMissing, statusOf } from './s3-errors.ts';

export interface Bucket {
  readonly client: S3Client;
  readonly calls: S3Calls;
  readonly name: string;
}

export interface WriteOptions {
  readonly ifAbsent: boolean;
  readonly signal: AbortSignal | undefined;
}

/** Names the put that wrote an object, so that one whose answer was lost can recognise its own work. */
const WRITER = 'pilotlight-put';
/** The condition was not met, or another write came between. */
const TAKEN: ReadonlySet<number> = new Set([412, 409]);
/** For giving up parts: nobody waits for it, and what is left is swept. */
const ABORT_CALL: CallLimits = { attemptMs: 5_000, deadlineMs: 10_000 };

interface Write extends WriteOptions {
  readonly bucket: Bucket;
  readonly objectKey: string;
  readonly writer: string;
}

interface Part {
  readonly PartNumber: number;
  readonly ETag: string | undefined;
}

/** Writes an object: at once if it fits into one part, else in parts, of which two at most are in memory. */
export async function writeObject(
  bucket: Bucket,
  objectKey: string,
  source: AsyncIterable<Uint8Array>,
  options: WriteOptions,
): Promise<PutAnswer> {
  const write: Write = { ...options, bucket, objectKey, writer: randomUUID() };
  const upload = new PartUpload(write);
  try {
    for await (const { bytes, isLast } of inParts(source)) {
      if (isLast && !upload.hasParts) return await putWhole(write, bytes);
      await upload.add(bytes);
    }
    return await upload.complete();
  } catch (error) {
    await upload.giveUp();
    throw error;
  }
}

/** One object in one call. Repeatable: the same bytes under the same name. */
export async function putBytes(
  { client, calls, name }: Bucket,
  objectKey: string,
  bytes: Uint8Array,
  limits: CallLimits,
): Promise<void> {
  const command = { Bucket: name, Key: objectKey, Body: bytes };
  await calls.run((abortSignal) => client.send(new PutObjectCommand(command), { abortSignal }), limits);
}

async function putWhole(write: Write, bytes: Uint8Array): Promise<PutAnswer> {
  const { bucket, objectKey, signal, ifAbsent, writer } = write;
  const command = {
    Bucket: bucket.name,
    Key: objectKey,
    Body: bytes,
    Metadata: { [WRITER]: writer },
    ...(ifAbsent ? { IfNoneMatch: '*' } : {}),
  };
  const send = (abortSignal: AbortSignal) => bucket.client.send(new PutObjectCommand(command), { abortSignal });
  try {
    await bucket.calls.run(send, PART_CALL, signal);
  } catch (error) {
    if (!ifAbsent || statusOf(error) !== 412) throw error;
    if ((await writerOf(write)) !== writer) return { kind: 'exists' };
  }
  return { kind: 'stored', bytes: bytes.byteLength };
}

/** Which put wrote the object that is there now: this one, if its answer was lost and it was repeated. Null = none is there. */
async function writerOf({ bucket, objectKey, signal }: Write): Promise<string | null> {
  const command = { Bucket: bucket.name, Key: objectKey };
  try {
    const head = await bucket.calls.run(
      (abortSignal) => bucket.client.send(new HeadObjectCommand(command), { abortSignal }),
      SMALL_CALL,
      signal,
    );
    return head.Metadata?.[WRITER] ?? '';
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

/** One part is sent while its caller gathers the next. */
class PartUpload {
  readonly #write: Write;
  readonly #parts: Part[] = [];
  #uploadId: string | null = null;
  readonly #stop = new AbortController();
  #bytes = 0;
  #sending: Promise<void> = Promise.resolve();

  constructor(write: Write) {
    this.#write = write;
  }

  get hasParts(): boolean {
    return this.#parts.length > 0;
  }

  /** Resolves when the part before it has arrived and this one is on its way. */
  async add(part: Buffer): Promise<void> {
    this.#uploadId ??= await this.#create();
    await this.#sending;
    this.#bytes += part.byteLength;
    this.#sending = this.#send(this.#uploadId, this.#parts.length + 1, part);
    this.#sending.catch(() => undefined);
    this.#parts.push({ PartNumber: this.#parts.length + 1, ETag: undefined });
  }

  async complete(): Promise<PutAnswer> {
    const { bucket, objectKey, signal, ifAbsent, writer } = this.#write;
    await this.#sending;
    const command = {
      Bucket: bucket.name,
      Key: objectKey,
      UploadId: this.#uploadId ?? '',
      MultipartUpload: { Parts: this.#parts.map((part) => ({ ...part })) },
      ...(ifAbsent ? { IfNoneMatch: '*' } : {}),
    };
    const send = (abortSignal: AbortSignal) =>
      bucket.client.send(new CompleteMultipartUploadCommand(command), { abortSignal });
    try {
      await bucket.calls.run(send, PART_CALL, signal);
    } catch (error) {
      // A completed upload is no more, nor is one that met a conflict: a repeated call whose first answer was lost, or
      // was a conflict, finds none.
      if (!isMissing(error) && !TAKEN.has(statusOf(error) ?? 0)) throw error;
      const found = await writerOf(this.#write);
      if (found !== writer) {
        if (!ifAbsent || found === null) throw error;
        await this.giveUp();
        return { kind: 'exists' };
      }
    }
    return { kind: 'stored', bytes: this.#bytes };
  }

  /** Parts that cannot be removed now are swept later. */
  async giveUp(): Promise<void> {
    if (this.#uploadId === null) return;
    this.#stop.abort(new Error('the upload was given up'));
    await this.#sending.catch(() => undefined);
    const { bucket, objectKey } = this.#write;
    const command = { Bucket: bucket.name, Key: objectKey, UploadId: this.#uploadId };
    this.#uploadId = null;
    const send = (abortSignal: AbortSignal) =>
      bucket.client.send(new AbortMultipartUploadCommand(command), { abortSignal });
    await bucket.calls.run(send, ABORT_CALL).catch(() => undefined);
  }

  async #create(): Promise<string> {
    const { bucket, objectKey, signal, writer } = this.#write;
    const command = { Bucket: bucket.name, Key: objectKey, Metadata: { [WRITER]: writer } };
    const created = await bucket.calls.run(
      (abortSignal) => bucket.client.send(new CreateMultipartUploadCommand(command), { abortSignal }),
      SMALL_CALL,
      signal,
    );
    if (created.UploadId === undefined) throw new Error('the service began an upload without an id');
    return created.UploadId;
  }

  async #send(uploadId: string, partNumber: number, body: Buffer): Promise<void> {
    const { bucket, objectKey, signal } = this.#write;
    const stop = signal ? AbortSignal.any([signal, this.#stop.signal]) : this.#stop.signal;
    const command = { Bucket: bucket.name, Key: objectKey, UploadId: uploadId, PartNumber: partNumber, Body: body };
    const sent = await bucket.calls.run(
      (abortSignal) => bucket.client.send(new UploadPartCommand(command), { abortSignal }),
      PART_CALL,
      stop,
    );
    this.#parts[partNumber - 1] = { PartNumber: partNumber, ETag: sent.ETag };
  }
}
