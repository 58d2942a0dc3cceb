/** What a client prefers about waiting (RFC 7240). */
export interface WaitPreference {
  readonly respondAsync: boolean;
  /** Whole seconds it is ready to wait for the result; null = not said. */
  readonly waitS: number | null;
}

/**
 * Reads a `Prefer` header, e.g. "respond-async, wait=10". Unknown and malformed preferences are ignored and the first
 * of a repeated one counts, as RFC 7240 section 2 says.
 */
export function parsePrefer(header: string | readonly string[] | undefined): WaitPreference {
  if (header === undefined) return { respondAsync: false, waitS: null };
  const text = typeof header === 'string' ? header : header.join(',');
  const preferences = text.split(',').map((part) => (part.split(';', 1)[0] ?? '').trim().toLowerCase());
  const wait = preferences.find((preference) => /^wait\s*=/.test(preference));
  const seconds = wait === undefined ? undefined : /^wait\s*=\s*"?(\d{1,9})"?$/.exec(wait)?.[1];
  return { respondAsync: preferences.includes('respond-async'), waitS: seconds === undefined ? null : Number(seconds) };
}
