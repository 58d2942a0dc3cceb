/** Imported before a program: its wall clock is wrong by TEST_CLOCK_AHEAD_MS from its first line on. */
const aheadMs = Number(process.env['TEST_CLOCK_AHEAD_MS']);
const { now } = Date;

globalThis.Date = new Proxy(Date, {
  construct: (real, given: unknown[], newTarget) =>
    Reflect.construct(real, given.length === 0 ? [now() + aheadMs] : given, newTarget) as Date,
  get: (real, key) => (key === 'now' ? () => now() + aheadMs : (Reflect.get(real, key) as unknown)),
});
