import type { GpuUse } from '../autoscaler/gpu-meter.ts';
import type { AdviceSource } from '../autoscaler/wait-advisor.ts';
import type { EndpointDirectory } from '../core/endpoint.ts';
import type { PoolKey } from '../core/objects.ts';
import type { EndpointKnowledge } from '../dispatcher/ports.ts';

/** What the autoscaler knows of each pool: the one in this process, or what the leading controller tells. */
export interface PoolViews extends AdviceSource {
  /** The latest, oldest first. */
  decisions(pool: PoolKey): Promise<readonly unknown[]>;
  gpuUse(pool: PoolKey): GpuUse | undefined;
  /** Why what is known of the pool is old; null = it is not. */
  silence(pool: PoolKey): string | null;
}

/** Where the endpoints of the pools come from, and who scales them. */
export interface Scaling {
  readonly directory: EndpointDirectory;
  readonly views: PoolViews;
  /** Other gateways serve the same pools. */
  readonly hasPeers: boolean;
  /** Of the directory. */
  knowledge(): EndpointKnowledge;
  /** Begins to scale; the pools' ledgers exist. */
  start(): Promise<void>;
}
