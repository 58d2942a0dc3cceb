import { PodEndpoints } from '../../autoscaler/adapters/kubernetes-target/pod-endpoints.ts';
import type { PoolPods } from '../../autoscaler/adapters/kubernetes-target/pool-pods.ts';
import type { EndpointKnowledge } from '../../dispatcher/ports.ts';
import type { ProcessOptions } from '../process-options.ts';
import type { Scaling } from '../scaling.ts';
import { boardViews, openBoardReader } from './board-views.ts';

/**
 * Whoever starts while the API server is away knows of no pod, which is not the same as that there are none. A namespace
 * that may not be read leaves the feed unsynced for ever, and says nothing of the pods of the others.
 */
export function endpointKnowledge(pods: Pick<PoolPods, 'freshness' | 'all'>): () => EndpointKnowledge {
  let knewAny = false;
  return () => {
    const { state } = pods.freshness();
    knewAny ||= state === 'live' || state === 'stale' || pods.all().length > 0;
    if (!knewAny) return 'none';
    return state === 'live' ? 'live' : 'old';
  };
}

/** Endpoints are the pods; what the pools are doing is what the leading controller tells. */
export function openGatewayScaling(options: ProcessOptions, pods: PoolPods): Scaling {
  const { catalogSource, closers } = options;
  const directory = new PodEndpoints(pods, catalogSource);
  const board = openBoardReader(options);
  return {
    directory,
    hasPeers: true,
    knowledge: endpointKnowledge(pods),
    views: boardViews(board),
    async start() {
      closers.add('pod endpoints', () => directory.close());
      await board.start();
      closers.add('board', () => board.stop());
    },
  };
}
