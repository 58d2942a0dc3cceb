import type { Identity } from '../../core/identity.ts';

/** Whom a token of an OpenID Connect issuer names. */
export interface OidcSubject {
  readonly issuer: string;
  /** Value of the issuer's `usernameClaim`. */
  readonly name: string;
  /** Value of its `tenantClaim`; null = it has none, or the token has none. */
  readonly tenant: string | null;
  readonly claims: Readonly<Record<string, unknown>>;
}

/** Tokens of one issuer that speak for a tenant: of one subject, with a claim, or all of them. */
export interface OidcMatch {
  readonly issuer: string;
  readonly subject: string | null;
  /** `value` is the claim's value, or one of its values if it is a list. */
  readonly claim: { readonly name: string; readonly value: string } | null;
}

/** A tenant and whom it consists of. */
export interface TenantMembers {
  readonly identity: Identity;
  /** "namespace/name" */
  readonly serviceAccounts: readonly string[];
  readonly oidc: readonly OidcMatch[];
}

const SERVICE_ACCOUNT = /^system:serviceaccount:([^:]+):([^:]+)$/;

/** "namespace/name" of the user name that the API server gives a ServiceAccount; null for other users. */
export function serviceAccountOf(username: string): string | null {
  const match = SERVICE_ACCOUNT.exec(username);
  return match === null ? null : `${match[1] ?? ''}/${match[2] ?? ''}`;
}

/** From whom a token names to the tenant. Everything but a claim is one look-up. */
export class TenantMap {
  readonly #byName: ReadonlyMap<string, Identity>;
  readonly #byServiceAccount: ReadonlyMap<string, Identity>;
  readonly #oidc: readonly { readonly match: OidcMatch; readonly identity: Identity }[];

  constructor(tenants: readonly TenantMembers[]) {
    this.#byName = new Map(tenants.map(({ identity }) => [identity.tenant, identity]));
    this.#byServiceAccount = new Map(
      tenants.flatMap(({ identity, serviceAccounts }) =>
        serviceAccounts.map((account) => [account, identity] as const),
      ),
    );
    const rank = ({ subject, claim }: OidcMatch) => (subject !== null ? 0 : claim !== null ? 1 : 2);
    this.#oidc = tenants
      .flatMap(({ identity, oidc }) => oidc.map((match) => ({ match, identity })))
      .sort((a, b) => rank(a.match) - rank(b.match));
  }

  ofServiceAccount(account: string): Identity | undefined {
    return this.#byServiceAccount.get(account);
  }

  /**
   * The tenant that the issuer's own claim names; without one, the tenant that names the subject, else the first one with
   * a claim that the token has, else the one of all the issuer's tokens.
   */
  ofOidc(subject: OidcSubject): Identity | undefined {
    if (subject.tenant !== null) return this.#byName.get(subject.tenant);
    return this.#oidc.find(({ match }) => matches(match, subject))?.identity;
  }
}

function matches(match: OidcMatch, { issuer, name, claims }: OidcSubject): boolean {
  if (match.issuer !== issuer) return false;
  if (match.subject !== null && match.subject !== name) return false;
  if (match.claim === null) return true;
  const { name: claimName, value } = match.claim;
  const given = Object.hasOwn(claims, claimName) ? claims[claimName] : undefined;
  return Array.isArray(given) ? given.includes(value) : given === value;
}
