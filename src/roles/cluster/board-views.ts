import { BoardReader } from '../../autoscaler/adapters/board/board-reader.ts';
import type { PoolKey } from '../../core/objects.ts';
import type { PoolStatus } from '../../core/replicas.ts';
import { systemClock } from '../../platform/clock.ts';
import type { ProcessOptions } from '../process-options.ts';
import type { PoolViews } from '../scaling.ts';

export function openBoardReader({ catalogSource, config, log, redis }: ProcessOptions): BoardReader {
  return new BoardReader({
    client: redis.command,
    channels: redis.channels,
    place: { keyPrefix: redis.keyPrefix, installation: config.installation },
    clock: systemClock,
    log,
    pools: () => catalogSource.current().pools.keys(),
  });
}

/** What the leading controller told last of each pool. */
export function boardViews(board: BoardReader): PoolViews {
  return {
    status: (pool) => board.status(pool) ?? unheard(pool),
    advice: (pool) => board.advice(pool),
    decisions: (pool) => board.decisions(pool),
    gpuUse: (pool) => board.gpuUse(pool),
    silence: (pool) => board.silence(pool),
  };
}

/** A pool of which no controller has said anything yet: calls may wait for the first word. */
function unheard(pool: PoolKey): PoolStatus {
  return {
    pool,
    phase: 'Asleep',
    desiredReplicas: 0,
    replicas: [],
    nextReadyMs: null,
    lastDecision: null,
    blockedWhy: null,
  };
}
