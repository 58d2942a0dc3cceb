/**
 * A thread that says when the next request is due: timers of an event loop are a millisecond coarse, a wait on a
 * futex is some tens of microseconds late and leaves the processor to others.
 */
import { parentPort, workerData } from 'node:worker_threads';

export interface TickPlan {
  readonly startAtMs: number;
  readonly everyMs: number;
  readonly count: number;
  /** `performance.timeOrigin` of the thread that counts in `startAtMs`. */
  readonly timeOriginMs: number;
}

const { startAtMs, everyMs, count, timeOriginMs } = workerData as TickPlan;
const cell = new Int32Array(new SharedArrayBuffer(4));
const offsetMs = performance.timeOrigin - timeOriginMs;

for (let tick = 0; tick < count; tick += 1) {
  const dueInMs = startAtMs + tick * everyMs - offsetMs - performance.now();
  if (dueInMs > 0) Atomics.wait(cell, 0, 0, dueInMs);
  parentPort?.postMessage(tick);
}
