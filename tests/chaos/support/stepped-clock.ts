import { readFileSync } from 'node:fs';

/**
 * Imported before a program: its wall clock is ahead by what the file CHAOS_CLOCK_FILE holds, in milliseconds, looked at ten
 * times a second. So a clock is stepped while the program runs. Timers are not touched, as by a step of the real clock.
 */
const path = process.env['CHAOS_CLOCK_FILE'] ?? '';
const LOOK_EVERY_MS = 100;
const { now } = Date;
let aheadMs = 0;

setInterval(() => {
  try {
    aheadMs = Number(readFileSync(path, 'utf8'));
  } catch {
    // It is being written, or nobody steps this clock.
  }
}, LOOK_EVERY_MS).unref();

globalThis.Date = new Proxy(Date, {
  construct: (real, given: unknown[], newTarget) =>
    Reflect.construct(real, given.length === 0 ? [now() + aheadMs] : given, newTarget) as Date,
  get: (real, key) => (key === 'now' ? () => now() + aheadMs : (Reflect.get(real, key) as unknown)),
});
