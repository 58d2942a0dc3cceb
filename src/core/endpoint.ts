import type { PoolKey } from './objects.ts';

/** A ready pod's address. Known by pod UID + ip:port, so that a reused address is never mistaken for the old pod. */
export interface Endpoint {
  /** "<podUid>@<ip:port>" */
  readonly id: string;
  readonly pool: PoolKey;
  /** "http://127.0.0.1:31234", no trailing slash. */
  readonly url: string;
  /** Name of the scale target it belongs to. */
  readonly target: string;
  readonly slotsPerEndpoint: number | 'Auto';
  readonly readyAtEpochMs: number;
  readonly draining: boolean;
}

/** What one scrape of a model server's metrics says; absent = the engine does not report it. */
export interface EngineMetrics {
  readonly runningRequests: number;
  readonly waitingRequests: number;
  /** 0..1 */
  readonly kvUsageRatio?: number;
  readonly blockSizeTokens?: number;
  readonly numBlocks?: number;
  readonly maxAdapters?: number;
  readonly runningAdapters: readonly string[];
  readonly waitingAdapters: readonly string[];
}

/** The endpoints of every pool as they are now. Implemented by the autoscaler's targets, read by the dispatcher. */
export interface EndpointDirectory {
  list(pool: PoolKey): readonly Endpoint[];
  /** Called after each change of any endpoint of any pool. Returns the way to stop. */
  onChange(listener: (pool: PoolKey) => void): () => void;
}
