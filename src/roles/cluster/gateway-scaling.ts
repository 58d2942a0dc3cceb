import { PodEndpoints } from '../../autoscaler/adapters/kubernetes-target/pod-endpoints.ts';
import type { PoolPods } from '../../autoscaler/adapters/kubernetes-target/pool-pods.ts';
import type { ProcessOptions } from '../process-options.ts';
import type { Scaling } from '../scaling.ts';
import { boardViews, openBoardReader } from './board-views.ts';

/** Endpoints are the pods; what the pools are doing is what the leading controller tells. */
export function openGatewayScaling(options: ProcessOptions, pods: PoolPods): Scaling {
  const { catalogSource, closers } = options;
  const directory = new PodEndpoints(pods, catalogSource);
  const board = openBoardReader(options);
  return {
    directory,
    hasPeers: true,
    views: boardViews(board),
    async start() {
      closers.add('pod endpoints', () => directory.close());
      await board.start();
      closers.add('board', () => board.stop());
    },
  };
}
