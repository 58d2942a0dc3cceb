import { join } from 'node:path';
import type { BlobStore } from '../../core/blobs.ts';
import type { Clock } from '../../core/clock.ts';
import { PilotlightError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import type { Random } from '../../core/random.ts';
import { FolderBlobStore } from './folder/folder-blob-store.ts';
import type { S3Settings } from './s3/s3-blob-store.ts';

export interface BlobStoreSettings {
  readonly kind: 'folder' | 's3';
  /** Of the whole program; a folder store is `<dataDir>/<installation>`. */
  readonly dataDir: string;
  readonly installation: string;
  /** `prefix` without the installation, which follows it. Bucket null only with kind `folder`. */
  readonly s3: Omit<S3Settings, 'bucket'> & { readonly bucket: string | null };
}

export interface BlobStoreDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/**
 * The store of this installation. A folder is not touched before something is written. Throws `config_invalid` for a
 * bucket that cannot be used (missing, no rights, no conditional writes). A service that does not answer, or is
 * full, is no reason not to start: held calls need none of it, and it is asked again before the first write that depends on it.
 */
export async function openBlobStore(settings: BlobStoreSettings, deps: BlobStoreDeps): Promise<BlobStore> {
  const { kind, dataDir, installation, s3 } = settings;
  if (kind === 'folder') return new FolderBlobStore(join(dataDir, installation), deps);
  if (s3.bucket === null) {
    throw new PilotlightError('config_invalid', 'storage.s3.bucket is needed when storage.kind is "s3".', {
      param: 'storage.s3.bucket',
    });
  }
  // The SDK takes 50 MB and a third of a second, which only those pay who need it.
  const { S3BlobStore } = await import('./s3/s3-blob-store.ts');
  const store = new S3BlobStore({ ...s3, bucket: s3.bucket, prefix: `${s3.prefix}${installation}/` }, deps);
  try {
    await store.verify();
  } catch (error) {
    if (!(error instanceof PilotlightError) || error.code === 'config_invalid') {
      await store.close();
      throw error;
    }
    deps.log.warn({ bucket: s3.bucket, problem: error.message }, 'storage.unverified');
  }
  return store;
}
