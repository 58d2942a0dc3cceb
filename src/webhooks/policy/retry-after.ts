/** The time a `Retry-After` header asks for (RFC 9110 section 10.2.3: seconds, or a date); null when it says nothing. */
export function retryAfterOf(value: string, nowEpochMs: number): number | null {
  const text = value.trim();
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000;
  // A date has letters; Date.parse would take "5.5" for one.
  const atEpochMs = /[a-z]{3}/i.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(atEpochMs) ? null : Math.max(0, atEpochMs - nowEpochMs);
}
