import { createRemoteJWKSet, customFetch, errors, type JWTPayload, jwtVerify } from 'jose';
import type { Clock } from '../../core/clock.ts';
import { asError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import type { OidcSubject } from '../policy/tenant-map.ts';
import type { TokenAnswer, TokenAuthority } from '../ports.ts';
import { AnswerCache, type AnswerCacheOptions } from './answer-cache.ts';
import { fetchBounded, readSmallJson } from './bounded-fetch.ts';

export interface OidcIssuerSettings {
  /** Exactly as in the tokens' `iss`. */
  readonly issuer: string;
  /** A token must be for one of them. */
  readonly audiences: readonly string[];
  /** Null = found through the issuer's discovery document. */
  readonly jwksUrl: string | null;
  /** Signature algorithms, asymmetric ones only. */
  readonly algorithms: readonly string[];
  readonly usernameClaim: string;
  readonly tenantClaim: string | null;
  readonly clockToleranceMs: number;
}

interface OidcParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly cache: AnswerCacheOptions;
  /** How long after a fetch of its keys an unknown one asks for them again; default 10 s. */
  readonly keysCooldownMs?: number;
}

const FETCH_TIMEOUT_MS = 3_000;
/** An unknown key id asks the issuer for its keys again, but not more often than this: key ids cost an attacker nothing. */
const JWKS_COOLDOWN_MS = 10_000;
/** Keys older than this are fetched again in the background, so that a withdrawn key ends even if no new one is used. */
const JWKS_REFRESH_MS = 10 * 60_000;
/** While the issuer cannot be reached its keys are believed so long. */
const JWKS_MAX_AGE_MS = 24 * 60 * 60_000;

type KeySet = ReturnType<typeof createRemoteJWKSet>;

/**
 * Tokens of one OpenID Connect issuer. A token is accepted when a published key of the issuer signed it with an allowed
 * algorithm, it is for one of our audiences, and it has not ended (within the clock tolerance).
 */
export function oidcIssuer(settings: OidcIssuerSettings, parts: OidcParts): TokenAuthority<OidcSubject> {
  const { clock, cache } = parts;
  const answers = new AnswerCache<OidcSubject>(clock, cache);
  const keys = new IssuerKeys(settings, parts);
  const verify = async (token: string): Promise<TokenAnswer<OidcSubject>> => {
    let keySet: KeySet;
    try {
      keySet = await keys.current();
    } catch (thrown) {
      return keys.unavailable(thrown);
    }
    try {
      const { payload } = await jwtVerify(token, keySet, {
        issuer: settings.issuer,
        audience: [...settings.audiences],
        algorithms: [...settings.algorithms],
        clockTolerance: settings.clockToleranceMs / 1_000,
        currentDate: new Date(clock.epochMs()),
        requiredClaims: ['exp'],
      });
      return accepted(settings, payload);
    } catch (thrown) {
      const why = refusalOf(thrown);
      return why === null ? keys.unavailable(thrown) : { kind: 'refused', why };
    }
  };
  return { check: (token) => answers.answer(token, () => verify(token)) };
}

function accepted(settings: OidcIssuerSettings, claims: JWTPayload): TokenAnswer<OidcSubject> {
  const name = textClaim(claims, settings.usernameClaim);
  if (name === null) return { kind: 'refused', why: `has no claim '${settings.usernameClaim}'` };
  const tenant = settings.tenantClaim === null ? null : textClaim(claims, settings.tenantClaim);
  return {
    kind: 'accepted',
    subject: { issuer: settings.issuer, name, tenant, claims },
    expiresAtEpochMs: (claims.exp ?? 0) * 1_000 + settings.clockToleranceMs,
  };
}

function textClaim(claims: JWTPayload, name: string): string | null {
  const value = Object.hasOwn(claims, name) ? claims[name] : undefined;
  return typeof value === 'string' && value !== '' ? value : null;
}

/** What is wrong with the token, in words of ours; null when it is not the token that is at fault. */
function refusalOf(thrown: unknown): string | null {
  if (thrown instanceof errors.JWTExpired) return 'has expired';
  if (thrown instanceof errors.JWTClaimValidationFailed) {
    if (thrown.claim === 'aud') return 'is for another audience';
    return thrown.reason === 'missing'
      ? `has no claim '${thrown.claim}'`
      : `has a claim '${thrown.claim}' that does not hold`;
  }
  if (thrown instanceof errors.JOSEAlgNotAllowed)
    return 'is signed with an algorithm that is not allowed for its issuer';
  if (thrown instanceof errors.JWSSignatureVerificationFailed) return 'has a signature that does not match';
  if (thrown instanceof errors.JWKSNoMatchingKey) return 'is signed with a key that its issuer does not publish';
  if (thrown instanceof errors.JWKSMultipleMatchingKeys)
    return 'does not say which of the issuer’s keys signed it (kid)';
  if (thrown instanceof errors.JOSENotSupported) return 'uses a feature that is not supported';
  if (thrown instanceof errors.JWSInvalid || thrown instanceof errors.JWTInvalid) return 'is malformed';
  return null;
}

/** The issuer's published keys: found once, refreshed in the background, fetched anew for an unknown key id. */
class IssuerKeys {
  readonly #settings: OidcIssuerSettings;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #cooldownMs: number;
  #keySet: KeySet | null = null;
  #finding: Promise<KeySet> | null = null;
  #fetchedAtMs = 0;
  #refreshing = false;
  #isDown = false;

  constructor(settings: OidcIssuerSettings, { clock, log, keysCooldownMs = JWKS_COOLDOWN_MS }: OidcParts) {
    this.#settings = settings;
    this.#clock = clock;
    this.#log = log;
    this.#cooldownMs = keysCooldownMs;
  }

  /** Rejects when the issuer's discovery document cannot be had. */
  async current(): Promise<KeySet> {
    this.#finding ??= this.#find().finally(() => {
      this.#finding = null;
    });
    const keySet = this.#keySet ?? (await this.#finding);
    this.#keySet = keySet;
    this.#refreshInBackground(keySet);
    return keySet;
  }

  unavailable(thrown: unknown): TokenAnswer<never> {
    if (!this.#isDown) {
      this.#log.warn({ issuer: this.#settings.issuer, problem: asError(thrown).message }, 'oidc.keys_unavailable');
    }
    this.#isDown = true;
    return { kind: 'unavailable', why: `the keys of the issuer '${this.#settings.issuer}' cannot be fetched` };
  }

  async #find(): Promise<KeySet> {
    if (this.#keySet) return this.#keySet;
    const url = new URL(this.#settings.jwksUrl ?? (await discover(this.#settings.issuer)));
    return createRemoteJWKSet(url, {
      timeoutDuration: FETCH_TIMEOUT_MS,
      cooldownDuration: this.#cooldownMs,
      cacheMaxAge: JWKS_MAX_AGE_MS,
      [customFetch]: async (address, options) => {
        const response = await fetchBounded(address, options);
        if (response.ok) {
          this.#fetchedAtMs = this.#clock.monotonicMs();
          if (this.#isDown) this.#log.info({ issuer: this.#settings.issuer }, 'oidc.keys_available');
          this.#isDown = false;
        }
        return response;
      },
    });
  }

  #refreshInBackground(keySet: KeySet): void {
    const isDue = keySet.jwks() !== undefined && this.#clock.monotonicMs() - this.#fetchedAtMs > JWKS_REFRESH_MS;
    if (!isDue || this.#refreshing) return;
    this.#refreshing = true;
    keySet
      .reload()
      .catch((thrown: unknown) => {
        this.unavailable(thrown);
        // Not before the next calls have used what is there for a while.
        this.#fetchedAtMs += JWKS_COOLDOWN_MS;
      })
      .finally(() => {
        this.#refreshing = false;
      });
  }
}

/** OpenID Connect Discovery 1.0, section 4: the document must name the issuer that it was asked of. */
async function discover(issuer: string): Promise<string> {
  const address = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const document = await readSmallJson(address, FETCH_TIMEOUT_MS);
  if (document['issuer'] !== issuer) throw new Error(`${address} is of another issuer`);
  const keysAt = document['jwks_uri'];
  if (typeof keysAt !== 'string' || !isSafeUrl(keysAt)) throw new Error(`${address} has no jwks_uri with https`);
  return keysAt;
}

/** Keys are fetched over TLS, or from this machine. */
function isSafeUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname } = new URL(text);
  return protocol === 'https:' || (protocol === 'http:' && /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname));
}
