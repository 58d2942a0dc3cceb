import { digests } from '../batch/adapters/files/digests.ts';
import { fileIds } from '../batch/adapters/files/file-ids.ts';
import { RedisFileIndex } from '../batch/adapters/files/redis-file-index.ts';
import { type Files, openFiles } from '../batch/files/open-files.ts';
import type { BlobStore } from '../core/blobs.ts';
import { systemClock } from '../platform/clock.ts';
import type { ProcessOptions } from './process-options.ts';

/** Files and uploads of this process, and their sweep, which starts at once. */
export function openFileParts(
  { config, redis, log, closers }: ProcessOptions,
  store: BlobStore,
  isUnfinished: (batchId: string) => Promise<boolean>,
): Files {
  const files = openFiles({
    store,
    index: new RedisFileIndex(redis.command, `${redis.keyPrefix}:${config.installation}`),
    digests,
    ids: fileIds(systemClock),
    clock: systemClock,
    log,
    limits: config.batches,
    isUnfinished,
  });
  const stop = new AbortController();
  const swept = files.sweep.run(stop.signal);
  closers.add('files', async () => {
    stop.abort();
    files.close();
    await swept;
  });
  return files;
}
