import { request } from 'node:http';

/** `closed` = nothing listens; `loading` = something answers, but not with 200. */
export type Readiness = 'closed' | 'loading' | 'ready';

/** One look at a model server's readiness path. Never throws; a silence longer than `timeoutMs` counts as `loading`. */
export function probeReadiness(url: string, timeoutMs: number, signal: AbortSignal): Promise<Readiness> {
  return new Promise((resolve) => {
    const probe = request(url, { agent: false, signal, headers: { connection: 'close' } }, (response) => {
      response.resume();
      resolve(response.statusCode === 200 ? 'ready' : 'loading');
    });
    probe.setTimeout(timeoutMs, () => {
      resolve('loading');
      probe.destroy();
    });
    probe.once('error', () => resolve('closed'));
    probe.end();
  });
}

const FASTEST_PROBE_MS = 25;
/** A boot is noticed late by at most this share of its length. */
const PROBE_LAG_RATIO = 0.01;

/** Until the next look at a server that boots since `elapsedMs`: 25 ms at first, slower as the boot goes on. */
export function probeDelayMs(elapsedMs: number, slowestMs: number): number {
  return Math.min(slowestMs, Math.max(FASTEST_PROBE_MS, elapsedMs * PROBE_LAG_RATIO));
}
