import type { Registry } from 'prom-client';
import type { SlotLedger } from '../../core/live-order.ts';
import type { PoolKey } from '../../core/objects.ts';
import { systemClock } from '../../platform/clock.ts';
import type { HttpServer } from '../../platform/http/server.ts';
import { openAdminListener } from '../listeners.ts';
import type { ProcessOptions } from '../process-options.ts';
import { StatusBoard } from '../status-board.ts';
import { boardViews, openBoardReader } from './board-views.ts';

/** The listener of a controller. What it shows is what the leader told, so every replica shows the same. */
export async function openControllerAdmin(
  options: ProcessOptions,
  registry: Registry,
  ledgerOf: (pool: PoolKey) => SlotLedger,
): Promise<HttpServer> {
  const { config, catalogSource, closers, version, objectProblems, redis } = options;
  const reader = openBoardReader(options);
  await reader.start();
  closers.add('board', () => reader.stop());
  const board = new StatusBoard({
    version,
    installation: config.installation,
    catalog: catalogSource,
    objectProblems,
    ledgerOf,
    views: boardViews(reader),
    tally: null,
    redis,
    clock: systemClock,
  });
  const admin = await openAdminListener(options, { registry, board });
  board.setReadiness({ kind: 'ready' });
  closers.add('readiness', () => board.setReadiness({ kind: 'draining', reason: 'the process is stopping' }));
  return admin;
}
