import { request } from 'node:http';
import { connect } from 'node:net';

/** `closed` = nothing listens; `loading` = something answers, but not with 200. */
export type Readiness = 'closed' | 'loading' | 'ready';

/** One look at a model server's readiness path. Never throws; a silence longer than `timeoutMs` counts as `loading`. */
export async function probeReadiness(
  address: { readonly host: string; readonly port: number },
  path: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Readiness> {
  // A refused connection costs a fifth of a refused request, and is what most looks at a booting server meet.
  if (!(await accepts(address, timeoutMs, signal))) return 'closed';
  return await new Promise((resolve) => {
    const options = { ...address, path, agent: false, signal, headers: { connection: 'close' } };
    const probe = request(options, (response) => {
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

/** Whether something listens there and takes connections in time. */
function accepts(
  address: { readonly host: string; readonly port: number },
  timeoutMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ ...address, signal });
    const end = (isAccepted: boolean): void => {
      socket.destroy();
      resolve(isAccepted);
    };
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
    socket.setTimeout(timeoutMs, () => end(false));
  });
}

const FASTEST_PROBE_MS = 10;
/** A boot is noticed late by at most this share of its length. */
const PROBE_LAG_RATIO = 0.01;

/** Until the next look at a server that boots since `elapsedMs`: 10 ms at first, slower as the boot goes on. */
export function probeDelayMs(elapsedMs: number, slowestMs: number): number {
  return Math.min(slowestMs, Math.max(FASTEST_PROBE_MS, elapsedMs * PROBE_LAG_RATIO));
}
