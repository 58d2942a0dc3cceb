import type { BlobStore } from '../core/blobs.ts';
import { openBlobStore } from '../platform/blobs/open.ts';
import { systemClock } from '../platform/clock.ts';
import { systemRandom } from '../platform/random.ts';
import type { ProcessOptions } from './process-options.ts';

/** The store of everything that this process accepts and answers later. Throws `config_invalid` with the remedy. */
export async function openStore({ config, log, closers }: ProcessOptions): Promise<BlobStore> {
  const { storage, data, installation } = config;
  const settings = { kind: storage.kind, dataDir: data.dir, installation, s3: storage.s3 };
  const store = await openBlobStore(settings, { clock: systemClock, random: systemRandom, log });
  closers.add('store', () => store.close());
  return store;
}
