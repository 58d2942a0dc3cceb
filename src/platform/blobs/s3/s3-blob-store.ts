import { randomUUID } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3';
import type {
  BlobInfo,
  BlobStore,
  ByteRange,
  PutAnswer,
  PutOptions,
  SegmentLog,
  SegmentLogSettings,
} from '../../../core/blobs.ts';
import type { Clock } from '../../../core/clock.ts';
import { PilotlightError } from '../../../core/errors.ts';
import type { Random } from '../../../core/random.ts';
import { GroupCommitLog } from '../group-commit.ts';
import { checkKey, checkPrefix } from '../keys.ts';
import { LOG_DEFAULTS } from '../log-settings.ts';
import { newRunName } from '../segment-key.ts';
import { endUnread, untilAborted, upTo } from '../sources.ts';
import { readObject } from './object-reader.ts';
import { type Bucket, writeObject } from './object-writer.ts';
import { onService, S3Calls, SMALL_CALL } from './s3-calls.ts';
import { asStoreError, isMissing } from './s3-errors.ts';
import { s3SegmentMedium } from './segment-medium.ts';
import { verifyService } from './verify-service.ts';

export interface S3Settings {
  readonly bucket: string;
  /** What every key starts with: '' or ending in "/". */
  readonly prefix: string;
  /** Null = AWS, by the region. */
  readonly endpoint: string | null;
  readonly region: string;
  readonly pathStyle: boolean;
}

export interface S3BlobStoreDeps {
  readonly clock: Clock;
  readonly random: Random;
}

const CONNECT_MS = 3_000;
/** A download that its reader takes slowly keeps its connection. */
const CONNECTIONS = 256;
/** An object for each batch: fewer and larger ones than files would be. */
const GATHER_MS = 25;
/** Below the prefix; no key has a "~" in it. */
const OWN_OBJECTS = '~pilotlight/';

/**
 * Blobs as objects of a bucket, for any number of gateways. Credentials come from the SDK's default chain (environment,
 * shared files, identity of the pod). The service must be strongly consistent, list in order of keys and honour
 * `If-None-Match: *`; `verify` checks the last.
 */
export class S3BlobStore implements BlobStore {
  readonly kind = 's3';
  readonly #bucket: Bucket;
  readonly #root: string;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #logs = new Set<GroupCommitLog>();
  #verifying: Promise<void> | null = null;

  constructor(settings: S3Settings, { clock, random }: S3BlobStoreDeps) {
    checkPrefix(settings.prefix);
    this.#root = settings.prefix;
    this.#clock = clock;
    this.#random = random;
    const client = new S3Client({
      region: settings.region,
      forcePathStyle: settings.pathStyle,
      ...(settings.endpoint === null ? {} : { endpoint: settings.endpoint }),
      // Repeated by S3Calls, within deadlines and until the caller gives up.
      maxAttempts: 1,
      // Only of whole objects, and only after their last byte was handed on; records have a CRC of their own.
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: {
        connectionTimeout: CONNECT_MS,
        httpAgent: { maxSockets: CONNECTIONS },
        httpsAgent: { maxSockets: CONNECTIONS },
      },
    });
    this.#bucket = { client, name: settings.bucket, calls: new S3Calls({ clock, random }) };
  }

  /**
   * Resolves once it is certain that the service does what is needed of it. Throws `config_invalid` when it does not, and
   * `store_unavailable` when that cannot be found out now.
   */
  async verify(): Promise<void> {
    const objectKey = `${this.#root}${OWN_OBJECTS}if-none-match`;
    this.#verifying ??= onService(() => verifyService(this.#bucket, objectKey));
    try {
      await this.#verifying;
    } catch (error) {
      this.#verifying = null;
      throw error;
    }
  }

  async put(key: string, source: AsyncIterable<Uint8Array>, options: PutOptions = {}): Promise<PutAnswer> {
    const objectKey = this.#objectKey(key);
    const { ifAbsent = false, maxBytes, signal } = options;
    signal?.throwIfAborted();
    if (ifAbsent) {
      await this.verify();
      if (await this.info(key)) {
        await endUnread(source);
        return { kind: 'exists' };
      }
    }
    const content = untilAborted(source, signal);
    const limited = maxBytes === undefined ? content : upTo(content, maxBytes);
    return onService(() => writeObject(this.#bucket, objectKey, limited, { ifAbsent, signal }));
  }

  async info(key: string): Promise<BlobInfo | null> {
    const command = { Bucket: this.#bucket.name, Key: this.#objectKey(key) };
    const { calls, client } = this.#bucket;
    try {
      const head = await calls.run((abortSignal) => client.send(new HeadObjectCommand(command), { abortSignal }));
      return { key, bytes: head.ContentLength ?? 0, modifiedAtEpochMs: head.LastModified?.getTime() ?? 0 };
    } catch (error) {
      if (isMissing(error)) return null;
      throw asStoreError(error);
    }
  }

  async read(key: string, range?: ByteRange, signal?: AbortSignal): Promise<AsyncIterable<Uint8Array> | null> {
    return onService(() => readObject(this.#bucket, this.#objectKey(key), range, signal));
  }

  async readAll(key: string, range?: ByteRange): Promise<Uint8Array | null> {
    const source = await this.read(key, range);
    if (!source) return null;
    const chunks: Uint8Array[] = [];
    for await (const chunk of source) chunks.push(chunk);
    return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
  }

  async delete(key: string): Promise<void> {
    const command = { Bucket: this.#bucket.name, Key: this.#objectKey(key) };
    const { calls, client } = this.#bucket;
    await onService(() => calls.run((abortSignal) => client.send(new DeleteObjectCommand(command), { abortSignal })));
  }

  async *list(prefix: string, signal?: AbortSignal): AsyncGenerator<BlobInfo> {
    checkPrefix(prefix);
    const { calls, client, name } = this.#bucket;
    let last = '';
    for (let token: string | undefined; ; ) {
      const command = { Bucket: name, Prefix: this.#root + prefix, ContinuationToken: token };
      const page = await onService(() =>
        calls.run((abortSignal) => client.send(new ListObjectsV2Command(command), { abortSignal }), SMALL_CALL, signal),
      );
      for (const { Key = '', Size = 0, LastModified } of page.Contents ?? []) {
        if (Key <= last) throw listsOutOfOrder();
        last = Key;
        const key = Key.slice(this.#root.length);
        if (!key.startsWith(OWN_OBJECTS)) yield { key, bytes: Size, modifiedAtEpochMs: LastModified?.getTime() ?? 0 };
      }
      token = page.NextContinuationToken;
      if (!page.IsTruncated || token === undefined) return;
    }
  }

  openLog(prefix: string, settings: Partial<SegmentLogSettings> = {}): SegmentLog {
    checkPrefix(prefix);
    const probeKey = `${this.#root}${OWN_OBJECTS}probes/${randomUUID()}`;
    const log: GroupCommitLog = new GroupCommitLog(
      prefix,
      newRunName(this.#clock, this.#random),
      { ...LOG_DEFAULTS, gatherMs: GATHER_MS, ...settings },
      {
        medium: s3SegmentMedium(this.#bucket, this.#root, probeKey),
        clock: this.#clock,
        onClosed: () => void this.#logs.delete(log),
      },
    );
    this.#logs.add(log);
    return log;
  }

  async sweepUnfinished(olderThanMs: number): Promise<number> {
    const newestEpochMs = this.#clock.epochMs() - olderThanMs;
    const { calls, client, name } = this.#bucket;
    let removed = 0;
    for (let from: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } = {}; ; ) {
      const command = { Bucket: name, Prefix: this.#root, ...from };
      const page = await onService(() =>
        calls.run((abortSignal) => client.send(new ListMultipartUploadsCommand(command), { abortSignal })),
      );
      for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
        if (!Initiated || Initiated.getTime() > newestEpochMs) continue;
        const upload = { Bucket: name, Key, UploadId };
        await this.#abortUpload(upload);
        removed += 1;
      }
      if (!page.IsTruncated) return removed;
      from = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker };
    }
  }

  freeBytes(): Promise<number | null> {
    return Promise.resolve(null);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#logs].map((log) => log.close()));
    this.#bucket.client.destroy();
  }

  async #abortUpload(upload: { Bucket: string; Key: string | undefined; UploadId: string | undefined }): Promise<void> {
    const { calls, client } = this.#bucket;
    try {
      await calls.run((abortSignal) => client.send(new AbortMultipartUploadCommand(upload), { abortSignal }));
    } catch (error) {
      // Another gateway swept it, or it was completed.
      if (!isMissing(error)) throw asStoreError(error);
    }
  }

  #objectKey(key: string): string {
    checkKey(key);
    return this.#root + key;
  }
}

function listsOutOfOrder(): PilotlightError {
  return new PilotlightError(
    'store_unavailable',
    'The S3 service lists objects out of order of their keys; directory buckets of S3 Express do so. Use another kind of bucket.',
  );
}
