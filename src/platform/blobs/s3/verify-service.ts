import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { PilotlightError } from '../../../core/errors.ts';
import type { Bucket } from './object-writer.ts';
import { SMALL_CALL } from './s3-calls.ts';
import { describeS3Error, isFull, isWorthRepeating, statusOf } from './s3-errors.ts';

const CONTENT = Buffer.from('Pilotlight asks with this object whether the service honours If-None-Match.\n');

/**
 * Finds out once whether the bucket can be written and honours `If-None-Match: *`, on whole objects and on uploads in
 * parts: without it two gateways could both create what only one may. Throws `config_invalid` when it is certain that
 * it cannot be used, and the service's own error when nobody knows.
 */
export async function verifyService(bucket: Bucket, objectKey: string): Promise<void> {
  try {
    // The object may be there from an earlier start; then the first answer says it.
    const isHonoured = (await isRefused(bucket, objectKey)) || (await isRefused(bucket, objectKey));
    if (!isHonoured || !(await isUploadRefused(bucket, objectKey))) throw ignoresConditions(bucket.name);
  } catch (error) {
    if (error instanceof PilotlightError || isWorthRepeating(error) || isFull(error)) throw error;
    if (!(error instanceof Error)) throw error;
    if (statusOf(error) === 501) throw ignoresConditions(bucket.name);
    throw new PilotlightError(
      'config_invalid',
      `The bucket "${bucket.name}" (storage.s3) cannot be used: ${describeS3Error(error)}.`,
      { param: 'storage.s3', cause: error },
    );
  }
}

/** Whether an object that exists is left as it is. Creates it when it does not exist. */
async function isRefused({ client, calls, name }: Bucket, objectKey: string): Promise<boolean> {
  const command = { Bucket: name, Key: objectKey, Body: CONTENT, IfNoneMatch: '*' };
  return refusal(calls.run((abortSignal) => client.send(new PutObjectCommand(command), { abortSignal }), SMALL_CALL));
}

async function isUploadRefused({ client, calls, name }: Bucket, objectKey: string): Promise<boolean> {
  const object = { Bucket: name, Key: objectKey };
  const { UploadId } = await calls.run((abortSignal) =>
    client.send(new CreateMultipartUploadCommand(object), { abortSignal }),
  );
  const upload = { ...object, UploadId };
  try {
    const { ETag } = await calls.run((abortSignal) =>
      client.send(new UploadPartCommand({ ...upload, PartNumber: 1, Body: CONTENT }), { abortSignal }),
    );
    const complete = { ...upload, IfNoneMatch: '*', MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] } };
    return await refusal(
      calls.run((abortSignal) => client.send(new CompleteMultipartUploadCommand(complete), { abortSignal })),
    );
  } finally {
    // Completed after all, or swept later.
    await calls
      .run((abortSignal) => client.send(new AbortMultipartUploadCommand(upload), { abortSignal }))
      .catch(() => undefined);
  }
}

async function refusal(call: Promise<unknown>): Promise<boolean> {
  try {
    await call;
    return false;
  } catch (error) {
    if (statusOf(error) === 412) return true;
    throw error;
  }
}

function ignoresConditions(bucketName: string): PilotlightError {
  return new PilotlightError(
    'config_invalid',
    `The S3 service of the bucket "${bucketName}" ignores "If-None-Match: *", so that two gateways could both create what ` +
      'only one may. Use a service that honours it (docs/storage.md lists some), or storage.kind "folder" with one gateway.',
    { param: 'storage.s3' },
  );
}
