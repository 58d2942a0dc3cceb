import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { PilotlightError } from '../../core/errors.ts';
import type { S3Pointer } from '../policy/pointer.ts';
import type { PayloadAnswer, PayloadStore } from '../ports.ts';
import { nameOf, ServiceFailure, statusOf } from './service-failure.ts';

export interface S3PayloadSettings {
  readonly region: string;
  /** Null = AWS; else buckets are named in the path. */
  readonly endpoint: string | null;
}

const TRIES = 3;
const CONNECT_MS = 3_000;
/** All tries of one object, its bytes included. */
const WITHIN_MS = 60_000;
const AGAIN_AFTER_MS = 2_000;

/** Payloads as objects. Nothing is ever deleted: whoever put it may still want it; a lifecycle rule of the bucket ends it. */
export class S3Payloads implements PayloadStore {
  readonly #client: S3Client;

  constructor({ region, endpoint }: S3PayloadSettings) {
    this.#client = new S3Client({
      region,
      maxAttempts: TRIES,
      ...(endpoint === null ? {} : { endpoint, forcePathStyle: true }),
      requestHandler: { connectionTimeout: CONNECT_MS },
    });
  }

  async get({ bucket, key }: S3Pointer, maxBytes: number, signal: AbortSignal): Promise<PayloadAnswer> {
    const abortSignal = AbortSignal.any([AbortSignal.timeout(WITHIN_MS), signal]);
    try {
      const object = await this.#client.send(new GetObjectCommand({ Bucket: bucket, Key: key }), { abortSignal });
      const body = object.Body as AsyncIterable<Uint8Array> & { destroy(): void };
      const chunks: Uint8Array[] = [];
      let bytes = 0;
      for await (const chunk of body) {
        bytes += chunk.byteLength;
        if (bytes > maxBytes) {
          body.destroy();
          return { kind: 'too_large' };
        }
        chunks.push(chunk);
      }
      return { kind: 'found', bytes: Buffer.concat(chunks) };
    } catch (error) {
      if (statusOf(error) === 404 && nameOf(error) === 'NoSuchKey') return { kind: 'missing' };
      throw unavailable('the payload of a message cannot be fetched', error);
    }
  }

  async put({ bucket, key }: S3Pointer, bytes: Uint8Array): Promise<void> {
    const command = new PutObjectCommand({
      Bucket: bucket,
      Key: key,
      Body: bytes,
      ContentType: 'application/json',
    });
    try {
      await this.#client.send(command, { abortSignal: AbortSignal.timeout(WITHIN_MS) });
    } catch (error) {
      throw unavailable('a result cannot be stored', error);
    }
  }

  close(): void {
    this.#client.destroy();
  }
}

function unavailable(what: string, error: unknown): PilotlightError {
  const { message } = new ServiceFailure(what, error);
  return new PilotlightError('store_unavailable', `The bucket cannot be used: ${message}.`, {
    retryAfterMs: AGAIN_AFTER_MS,
  });
}
