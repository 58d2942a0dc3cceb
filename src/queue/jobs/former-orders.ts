import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/logger.ts';
import type { PoolKey } from '../../core/objects.ts';
import { runPeriodically } from './periodic.ts';

/** None; gateways of the earlier release live in it; they have all ended and it is left over. */
export type FormerState = 'none' | 'alive' | 'left';

/** The order of a pool as an earlier release keeps it, whose records this one does not read. */
export interface FormerOrder {
  look(): Promise<FormerState>;
  /** Whether this process is to do what the state asks for; nobody else is, for so long. */
  claim(state: FormerState, forMs: number): Promise<boolean>;
  /** Takes over the ends that it has not announced, removes it, and tells how many ends there were. */
  end(): Promise<number>;
}

export interface FormerOrdersDeps {
  readonly pool: PoolKey;
  readonly orders: readonly FormerOrder[];
  /** Brings the present order in line with the store. */
  readonly reconcile: () => Promise<unknown>;
  readonly clock: Clock;
  readonly log: Logger;
}

const LOOK_EVERY_MS = 5_000;
const RECONCILE_EVERY_MS = 60_000;

/**
 * Looks after stored work while a pool has orders of earlier releases beside the present one. Jobs that were accepted there
 * are no demand here and those that ended there still are: a reconcile, once a minute and once more when the last of the
 * earlier gateways has gone, learns both. Then what is left of that order goes. Resolves when aborted.
 */
export async function watchFormerOrders(deps: FormerOrdersDeps, signal: AbortSignal): Promise<void> {
  const watch = deps.orders.map((order) => {
    const run = () => lookAfter(deps, order, signal).then(() => false);
    return runPeriodically(deps, { name: 'former_order.look', everyMs: LOOK_EVERY_MS, run }, signal);
  });
  await Promise.all(watch);
}

async function lookAfter(
  { pool, reconcile, log }: FormerOrdersDeps,
  order: FormerOrder,
  signal: AbortSignal,
): Promise<void> {
  const state = await order.look();
  if (state === 'none' || !(await order.claim(state, RECONCILE_EVERY_MS))) return;
  log.info({ pool, state }, 'former_order.found');
  await unlessAborted(reconcile(), signal);
  if (signal.aborted) return;
  // An earlier release may have been started again meanwhile: then it is not over.
  if (state !== 'left' || (await order.look()) !== 'left') return;
  const announcements = await order.end();
  log.info({ pool, announcements }, 'former_order.ended');
}

/** Resolves with the work, or when aborted: a reconcile waits for store and Redis, and a stop waits for this. */
async function unlessAborted(work: Promise<unknown>, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<null>();
  const stop = () => resolve(null);
  signal.addEventListener('abort', stop, { once: true });
  try {
    await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
