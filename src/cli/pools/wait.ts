import { setTimeout as sleep } from 'node:timers/promises';
import { formatDuration } from '../../core/units.ts';
import { CliError, EXIT } from '../exit-codes.ts';
import type { PoolSource, PoolView } from './pool-view.ts';

/** In a cluster the controller writes phases at once and counters within 10 s. */
const LOOK_EVERY_MS = 500;

export interface Wait {
  readonly holds: (pool: PoolView) => boolean;
  /** "Ready" in "not ready after 30m". */
  readonly what: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Hears one line whenever the pool looks different. */
  readonly tell: (line: string) => void;
  readonly lookEveryMs?: number;
}

/** Looks at a pool until `holds`. Throws a CliError with what keeps it when the time is over or it is gone. */
export async function untilPool(source: PoolSource, wanted: PoolView, wait: Wait): Promise<PoolView> {
  const { holds, what, timeoutMs, signal, tell, lookEveryMs = LOOK_EVERY_MS } = wait;
  const startedMs = performance.now();
  for (let told = ''; ; ) {
    const pools = await source.pools(signal);
    const pool = pools.find(({ pool: key, policy }) => key === wanted.pool && policy === wanted.policy);
    if (!pool) throw new CliError(EXIT.FAILED, `${wanted.pool} is not there any more`);
    const passedMs = performance.now() - startedMs;
    const state = stateOf(pool);
    const [trouble = ''] = troublesOf(pool);
    // A countdown in its words is no news.
    const news = `${state} ${trouble.replaceAll(/\d+/g, '#')}`;
    if (news !== told) tell(`${formatDuration(passedMs)}  ${state}${trouble === '' ? '' : `: ${trouble}`}`);
    told = news;
    if (holds(pool)) return pool;
    if (passedMs > timeoutMs) {
      const message = `${pool.pool} is not ${what} after ${formatDuration(timeoutMs)}: ${whyNot(pool)}`;
      throw new CliError(EXIT.FAILED, message);
    }
    await sleep(lookEveryMs, undefined, { signal });
  }
}

/** Nothing is left of it, terminating pods included. */
export function isEmpty({ replicasByPhase, ready, booting }: PoolView): boolean {
  return ready + booting === 0 && Object.values(replicasByPhase).every((count) => count === 0);
}

function stateOf(pool: PoolView): string {
  const counts = Object.entries(pool.replicasByPhase)
    .filter(([, count]) => count > 0)
    .map(([phase, count]) => `${count} ${phase}`);
  return `${pool.phase ?? 'not looked at yet'}: ${counts.join(', ') || 'no replicas'}`;
}

function whyNot(pool: PoolView): string {
  const [trouble] = troublesOf(pool);
  return trouble ?? pool.decision?.sentence ?? `it is ${pool.phase ?? 'not looked at by a controller'}`;
}

/** What keeps replicas from coming or going, as far as it is told. */
function troublesOf({ blockedWhy, conditions, targets }: PoolView): readonly string[] {
  const broken = conditions.filter(({ type, status }) => status === 'False' && type !== 'Ready');
  const held = targets.flatMap(({ name, message }) => (message === undefined ? [] : [`target ${name}: ${message}`]));
  const all = [...(blockedWhy === null ? [] : [blockedWhy]), ...broken.map(({ message }) => message), ...held];
  return all.slice(0, 1);
}
