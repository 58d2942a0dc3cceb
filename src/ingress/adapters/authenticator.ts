import { PilotlightError } from '../../core/errors.ts';
import type { Identity } from '../../core/identity.ts';
import { bearerToken, MAX_TOKEN_CHARS, type UncheckedClaims, uncheckedClaims } from '../policy/bearer-token.ts';
import { shown } from '../policy/fields.ts';
import { type OidcSubject, serviceAccountOf, type TenantMap } from '../policy/tenant-map.ts';
import type { Authenticator, KubeUser, TokenAnswer, TokenAuthority } from '../ports.ts';
import type { KeyTable } from './configured-keys.ts';

/** Who can check tokens, and which tenants their subjects belong to. */
export interface TokenParts {
  readonly tenants: TenantMap;
  /** By issuer. */
  readonly oidc: ReadonlyMap<string, TokenAuthority<OidcSubject>>;
  readonly serviceAccounts: {
    readonly reviews: TokenAuthority<KubeUser>;
    /** As the reviews demand; a token that names others only is refused without asking. */
    readonly audiences: readonly string[];
  } | null;
}

export interface AuthenticatorParts {
  readonly keys: KeyTable;
  /** Who callers without a key are; null = refused. */
  readonly anonymous: Identity | null;
  /** Null = no tokens, only keys. */
  readonly tokens: TokenParts | null;
}

/** How soon a caller whose token could not be checked should come back. */
const RETRY_AFTER_MS = 2_000;

type Decided = Identity | PilotlightError;

/**
 * Who calls: the owner of a configured API key, else whom a token of a configured issuer names, else a ServiceAccount.
 * Without a key a caller is `anonymous`, if that is allowed; a key or token that nobody knows is refused, unless there
 * are no keys at all: then nobody checks keys (official clients always send one).
 */
export function createAuthenticator({ keys, anonymous, tokens }: AuthenticatorParts): Authenticator {
  return {
    authenticate(headers) {
      if (tokens === null && anonymous && keys.isEmpty) return anonymous;
      const token = bearerToken(headers.authorization);
      if (token === undefined) {
        return anonymous ?? refused('No API key. Send it as "Authorization: Bearer <key>".');
      }
      const known = keys.find(token);
      if (known) return known;
      if (tokens !== null && token.length > MAX_TOKEN_CHARS) {
        return refused(`The token is longer than ${MAX_TOKEN_CHARS} characters.`);
      }
      const claims = tokens && uncheckedClaims(token);
      if (tokens && claims) return checkToken(tokens, token, claims);
      return anonymous && keys.isEmpty ? anonymous : refused('This API key is not known here.');
    },
  };
}

function checkToken(tokens: TokenParts, token: string, claims: UncheckedClaims): Decided | Promise<Decided> {
  const issuer = tokens.oidc.get(claims.issuer);
  if (issuer) return once(issuer.check(token), (answer) => ofOidc(tokens.tenants, answer));
  if (serviceAccountOf(claims.subject) === null || !tokens.serviceAccounts) {
    const known = tokens.serviceAccounts ? 'no configured issuer and no ServiceAccount' : 'no configured issuer';
    return refused(`The token was issued by '${shown(claims.issuer)}', which is ${known}; see auth.oidc.`);
  }
  const { reviews, audiences } = tokens.serviceAccounts;
  if (claims.audiences.length > 0 && audiences.length > 0 && !claims.audiences.some((one) => audiences.includes(one))) {
    return refused(wrongAudience(audiences));
  }
  return once(reviews.check(token), (answer) => ofServiceAccount(tokens.tenants, answer, audiences));
}

function ofOidc(tenants: TenantMap, answer: TokenAnswer<OidcSubject>): Decided {
  if (answer.kind !== 'accepted') return notAccepted(answer, 'The token');
  const { subject } = answer;
  const identity = tenants.ofOidc(subject);
  if (identity) return identity;
  const named = `'${shown(subject.name)}' of issuer '${shown(subject.issuer)}'`;
  const why =
    subject.tenant === null
      ? 'belongs to no tenant here; add it to the oidc list of one'
      : `is of the tenant '${shown(subject.tenant)}', which is not configured here; add it to tenants`;
  return new PilotlightError('no_tenant', `The token is genuine, but ${named} ${why}.`);
}

function ofServiceAccount(tenants: TenantMap, answer: TokenAnswer<KubeUser>, audiences: readonly string[]): Decided {
  if (answer.kind !== 'accepted') {
    if (answer.kind === 'refused' && answer.why.includes('audience')) return refused(wrongAudience(audiences));
    return notAccepted(answer, 'The ServiceAccount token');
  }
  const { username } = answer.subject;
  const account = serviceAccountOf(username);
  const identity = account === null ? undefined : tenants.ofServiceAccount(account);
  if (identity) return identity;
  const named = account === null ? `'${shown(username)}'` : `ServiceAccount '${account}'`;
  const message = `The token is genuine, but ${named} belongs to no tenant here; add it to the serviceAccounts of one.`;
  return new PilotlightError('no_tenant', message);
}

function wrongAudience(audiences: readonly string[]): string {
  const wanted = audiences.length > 0 ? audiences.map((one) => `'${one}'`).join(' or ') : 'of the API server';
  return `The ServiceAccount token is for another audience; it must be for ${wanted}.`;
}

/** The error for an answer that accepts nobody. */
export function notAccepted(
  answer: Exclude<TokenAnswer<unknown>, { kind: 'accepted' }>,
  what: string,
): PilotlightError {
  if (answer.kind === 'refused') return refused(`${what} ${answer.why}.`);
  const message = `${what} cannot be checked now, because ${answer.why}. Try again.`;
  return new PilotlightError('identity_unavailable', message, { retryAfterMs: RETRY_AFTER_MS });
}

export function refused(message: string): PilotlightError {
  return new PilotlightError('invalid_api_key', message);
}

/** Now if it is known now. */
function once<A, B>(value: A | Promise<A>, then: (value: A) => B): B | Promise<B> {
  return value instanceof Promise ? value.then(then) : then(value);
}
