import type { WaitStatus } from '../../core/dispatch.ts';

/** A client that is told less often may take the connection for dead; many proxies cut at 15 s or more. */
export const COMMENT_EVERY_MS = 5_000;

/** A longer predicted wait is announced at once, a longer one in fact when it has lasted this long. */
export const ANNOUNCE_AFTER_MS = 1_000;

/** Of a call that waits although the pool has slots. */
const SERVING_PHASES: ReadonlySet<string> = new Set(['queued', 'paused']);

/**
 * An SSE comment line, which clients skip: ": pilotlight phase=waking position=3 eta=42s". `ttlMayStop`: the clock of the
 * call's TTL stands still while nothing serves, which is told then.
 */
export function waitComment(status: WaitStatus, ttlMayStop = false): string {
  const eta = status.etaMs === null ? '' : ` eta=${Math.ceil(status.etaMs / 1_000)}s`;
  const ttl = ttlMayStop && !SERVING_PHASES.has(status.phase) ? ' ttl=stopped' : '';
  return `: pilotlight phase=${status.phase.replace(/[^\w-]/g, '_')} position=${status.position}${eta}${ttl}\n\n`;
}

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/**
 * Where the last complete event of a chunk ends; 0 = nowhere. What follows is held back until it is complete, so that
 * an error event never lands in the middle of another event when a model server dies.
 */
export function lastEventEnd(chunk: Uint8Array): number {
  for (let at = chunk.length - 1; at > 0; at -= 1) {
    if (chunk[at] !== LINE_FEED) continue;
    if (chunk[at - 1] === LINE_FEED) return at + 1;
    if (chunk[at - 1] === CARRIAGE_RETURN && chunk[at - 2] === LINE_FEED) return at + 1;
  }
  return 0;
}
