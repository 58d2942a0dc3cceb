import { DeleteObjectCommand } from '@aws-sdk/client-s3';
import type { SegmentMedium, SegmentWriter } from '../group-commit.ts';
import { type Bucket, putBytes } from './object-writer.ts';
import { LOG_CALL } from './s3-calls.ts';
import { describeS3Error } from './s3-errors.ts';

/** Segments as objects: there is no appending, so each batch of records is one. */
export function s3SegmentMedium(bucket: Bucket, root: string, probeKey: string): SegmentMedium {
  return {
    oneBatchPerSegment: true,
    create: (key) => Promise.resolve(objectSegment(bucket, root + key)),
    async probe() {
      await putBytes(bucket, probeKey, Buffer.from('probe'), LOG_CALL);
      await deleteObject(bucket, probeKey);
    },
    describe: describeS3Error,
  };
}

/** What is written is kept until `sync` puts it. */
function objectSegment(bucket: Bucket, objectKey: string): SegmentWriter {
  let content: Uint8Array | null = null;
  return {
    write(bytes) {
      content = bytes;
      return Promise.resolve();
    },
    async sync() {
      const unsynced = content;
      content = null;
      if (unsynced) await putBytes(bucket, objectKey, unsynced, LOG_CALL);
    },
    // A put without an answer may have arrived: nobody may find it later.
    truncate: () => deleteObject(bucket, objectKey),
    close: () => Promise.resolve(),
  };
}

async function deleteObject({ client, calls, name }: Bucket, objectKey: string): Promise<void> {
  const command = { Bucket: name, Key: objectKey };
  await calls.run((abortSignal) => client.send(new DeleteObjectCommand(command), { abortSignal }), LOG_CALL);
}
