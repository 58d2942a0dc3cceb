import { PilotlightError } from '../../core/errors.ts';
import { isJsonObject } from './json.ts';

/** Where a payload lies that is too large for a message. */
export interface S3Pointer {
  readonly bucket: string;
  readonly key: string;
}

/** Of the Amazon SQS Extended Client Library, newer and older (https://github.com/awslabs/amazon-sqs-java-extended-client-lib). */
const CLASSES = ['software.amazon.payloadoffloading.PayloadS3Pointer', 'com.amazon.sqs.javamessaging.MessageS3Pointer'];
/** The attributes that say how large the payload is. */
export const SIZE_ATTRIBUTES = ['ExtendedPayloadSize', 'SQSLargePayloadSize'] as const;
/** Longest key of S3, in bytes of UTF-8. */
const MAX_KEY_CHARACTERS = 1_024;

/** Where a message points; null = it is no pointer. An error for one that leads where it may not. */
export function readPointer(text: string, buckets: readonly string[]): S3Pointer | PilotlightError | null {
  if (!/^\s*\[/.test(text)) return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (!Array.isArray(value) || !CLASSES.includes(String(value[0]))) return null;
  const place: unknown = value[1];
  const { s3BucketName: bucket, s3Key: key } = isJsonObject(place) ? place : {};
  if (typeof bucket !== 'string' || typeof key !== 'string' || key === '' || key.length > MAX_KEY_CHARACTERS) {
    return refused('The message points to S3, but has no s3BucketName and s3Key.');
  }
  if (!buckets.includes(bucket)) {
    return refused('The message points into a bucket that is not listed in sqs.queues[].buckets.');
  }
  return { bucket, key };
}

/** The message that points there, with its attribute. */
export function pointerMessage({ bucket, key }: S3Pointer): string {
  return JSON.stringify([CLASSES[0], { s3BucketName: bucket, s3Key: key }]);
}

function refused(message: string): PilotlightError {
  return new PilotlightError('invalid_value', message, { param: 'body' });
}
