import type { Config } from '../config/config.ts';
import type { FileCatalogSource } from '../config/objects/file-catalog-source.ts';
import type { Logger } from '../core/logger.ts';
import type { Closers } from './closers.ts';
import type { RedisLink } from './redis-link.ts';

/** What every part of one process is built from. */
export interface ProcessOptions {
  readonly config: Config;
  readonly catalogSource: FileCatalogSource;
  readonly redis: RedisLink;
  readonly log: Logger;
  readonly version: string;
  /** Gets what must be closed, in the order of opening. */
  readonly closers: Closers;
}
