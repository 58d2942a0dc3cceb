import type { Config } from '../config/config.ts';
import type { KubeApi } from '../core/kubernetes.ts';
import type { Logger } from '../core/logger.ts';
import type { CatalogSource } from '../core/objects.ts';
import type { PoolOrders } from '../core/pool-orders.ts';
import type { Closers } from './closers.ts';
import type { RedisLink } from './redis-link.ts';

/** What is there before the objects are. */
export interface ProcessBase {
  readonly config: Config;
  readonly redis: RedisLink;
  /** Name of this process in the ledgers; unique per run. */
  readonly owner: string;
  readonly log: Logger;
  readonly version: string;
  /** Gets what must be closed, in the order of opening. */
  readonly closers: Closers;
}

/** What every part of one process is built from. */
export interface ProcessOptions extends ProcessBase {
  readonly catalogSource: CatalogSource;
  /** What is wrong with the objects now, as sentences. */
  readonly objectProblems: () => readonly string[];
  /** Null on one machine. */
  readonly kube: KubeApi | null;
  readonly orders: PoolOrders;
}
