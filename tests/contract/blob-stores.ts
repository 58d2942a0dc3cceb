import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateBucketCommand, ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3';
import type { BlobStore } from '../../src/core/blobs.ts';
import type { Clock } from '../../src/core/clock.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { FolderBlobStore } from '../../src/platform/blobs/folder/folder-blob-store.ts';
import { S3BlobStore } from '../../src/platform/blobs/s3/s3-blob-store.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { MOTO_CREDENTIALS, startMoto } from '../support/moto.ts';

/** One place for blobs, seen by any number of stores, as by processes that share it. */
export interface BlobPlace {
  /** Another store on the same place. */
  open(clock?: Clock): BlobStore;
  /** Names of unfinished writes. */
  unfinished(): Promise<readonly string[]>;
}

export interface BlobWorld {
  newPlace(): Promise<BlobPlace>;
  close(): Promise<void>;
}

export async function folderWorld(): Promise<BlobWorld> {
  const base = await mkdtemp(join(tmpdir(), 'pilotlight-blobs-'));
  return {
    newPlace() {
      const root = join(base, randomUUID());
      return Promise.resolve({
        open: (clock = systemClock) => new FolderBlobStore(root, { clock, random: systemRandom }),
        unfinished: () => filesIn(join(root, '~unfinished')),
      });
    },
    close: () => rm(base, { recursive: true, force: true }),
  };
}

async function filesIn(folder: string): Promise<readonly string[]> {
  return readdir(folder).catch(() => []);
}

/** A bucket on a server of its own; `endpoint` may be that of a proxy in front of it. */
export async function s3World(): Promise<BlobWorld & { readonly endpoint: string }> {
  process.env['AWS_ACCESS_KEY_ID'] = MOTO_CREDENTIALS.accessKeyId;
  process.env['AWS_SECRET_ACCESS_KEY'] = MOTO_CREDENTIALS.secretAccessKey;
  const moto = await startMoto();
  const { endpoint } = moto;
  const admin = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true });
  return {
    endpoint,
    async newPlace() {
      const bucket = await newBucket(admin);
      return {
        open: (clock = systemClock) => openBucket({ endpoint, bucket, clock }),
        async unfinished() {
          const { Uploads = [] } = await admin.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
          return Uploads.map(({ Key = '' }) => Key);
        },
      };
    },
    async close() {
      admin.destroy();
      await moto.stop();
    },
  };
}

export async function newBucket(admin: S3Client): Promise<string> {
  const bucket = `blobs-${randomUUID()}`;
  await admin.send(new CreateBucketCommand({ Bucket: bucket }));
  return bucket;
}

export function openBucket({
  endpoint,
  bucket,
  clock = systemClock,
}: {
  endpoint: string;
  bucket: string;
  clock?: Clock;
}): S3BlobStore {
  return new S3BlobStore(
    { bucket, prefix: 'pilot/test/', endpoint, region: 'us-east-1', pathStyle: true },
    { clock, random: systemRandom },
  );
}
