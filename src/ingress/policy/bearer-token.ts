/** Longer tokens are refused unread. A ServiceAccount token has about 1,000 characters, one with many groups 6,000. */
export const MAX_TOKEN_CHARS = 8_192;

/** What a JSON Web Token says of itself before anybody has checked it: good for choosing whom to ask, never for trust. */
export interface UncheckedClaims {
  readonly issuer: string;
  /** '' = none. */
  readonly subject: string;
  readonly audiences: readonly string[];
}

const JWT = /^[\w-]+\.([\w-]+)\.[\w-]*$/;

/** The key or token in an Authorization header; undefined = none, "" (which nobody has) = another scheme than Bearer. */
export function bearerToken(header: string | readonly string[] | undefined): string | undefined {
  if (typeof header !== 'string') return undefined;
  return header.slice(0, 7).toLowerCase() === 'bearer ' ? header.slice(7).trim() : '';
}

/** The claims of a token that is shaped like a JWT and names its issuer; null for anything else. */
export function uncheckedClaims(token: string): UncheckedClaims | null {
  const claims = payloadOf(token);
  if (typeof claims?.['iss'] !== 'string') return null;
  const { iss, sub, aud } = claims;
  return {
    issuer: iss,
    subject: typeof sub === 'string' ? sub : '',
    audiences: (Array.isArray(aud) ? aud : [aud]).filter((one) => typeof one === 'string'),
  };
}

/** When a token says it ends, milliseconds since the epoch; null = it does not say, or it is no JWT. */
export function uncheckedExpiry(token: string): number | null {
  const exp = payloadOf(token)?.['exp'];
  return typeof exp === 'number' ? exp * 1_000 : null;
}

function payloadOf(token: string): Readonly<Record<string, unknown>> | null {
  const payload = JWT.exec(token)?.[1];
  if (payload === undefined) return null;
  try {
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytesOf(payload)));
    return typeof claims === 'object' && claims !== null ? (claims as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

function bytesOf(base64url: string): Uint8Array {
  const binary = atob(base64url.replaceAll('-', '+').replaceAll('_', '/'));
  return Uint8Array.from(binary, (char) => char.charCodeAt(0));
}
