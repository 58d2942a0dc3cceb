import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Clock } from '../../src/core/clock.ts';
import { PilotlightError } from '../../src/core/errors.ts';
import type { Identity } from '../../src/core/identity.ts';
import { TOKEN_CACHE_OPTIONS } from '../../src/ingress/adapters/answer-cache.ts';
import { createAuthenticator, type TokenParts } from '../../src/ingress/adapters/authenticator.ts';
import { KeyTable, keyHash } from '../../src/ingress/adapters/configured-keys.ts';
import { oidcIssuer } from '../../src/ingress/adapters/oidc-issuer.ts';
import { tokenReviews } from '../../src/ingress/adapters/token-review.ts';
import { TenantMap } from '../../src/ingress/policy/tenant-map.ts';
import type { Authenticator } from '../../src/ingress/ports.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { OidcServer } from '../integration/ingress/support/oidc-server.ts';
import { ReviewApi } from '../integration/ingress/support/review-api.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { identity } from '../unit/ingress/support/fake-catalog.ts';

/** One way to prove who one is, with its secrets in every state. */
interface Credentials {
  readonly authenticator: Authenticator;
  /** Of the tenant "acme". */
  good(): Promise<string>;
  unknown(): Promise<string>;
  /** Genuine, of somebody who belongs to no tenant; null = cannot be. */
  strange(): Promise<string | null>;
  expired(): Promise<string | null>;
  forOthers(): Promise<string | null>;
  /** From now on nobody can be asked, and whoever tells so quotes the secret. False = nobody is ever asked. */
  goDown(quoting: string): boolean;
  comeBack(): void;
}

const NOW_MS = Date.now();
const acme = identity({ tenant: 'acme' });
let clock: FakeClock;
let logLines: string[];
let server: OidcServer;
beforeEach(async () => {
  clock = new FakeClock(NOW_MS);
  logLines = [];
  server = await OidcServer.start();
});
afterEach(() => server.close());

function parts(anyClock: Clock = clock) {
  const log = createLogger({ level: 'debug', destination: { write: (line) => void logLines.push(line) } });
  return { clock: anyClock, log, cache: TOKEN_CACHE_OPTIONS };
}

function authenticator(tokens: Partial<TokenParts>, anonymous: Identity | null = null): Authenticator {
  const all = { tenants: new TenantMap([]), oidc: new Map(), serviceAccounts: null, ...tokens };
  return createAuthenticator({
    keys: new KeyTable([{ identity: acme, keys: [keyHash('sk-acme')] }]),
    anonymous,
    tokens: all,
  });
}

const settings = (issuer: string) => ({
  issuer,
  audiences: ['pilotlight'],
  jwksUrl: null,
  algorithms: ['ES256'],
  usernameClaim: 'sub',
  tenantClaim: null,
  clockToleranceMs: 30_000,
});

function apiKeys(): Credentials {
  const none = () => Promise.resolve(null);
  return {
    authenticator: authenticator({}),
    good: () => Promise.resolve('sk-acme'),
    unknown: () => Promise.resolve('sk-hunter2'),
    strange: none,
    expired: none,
    forOthers: none,
    goDown: () => false,
    comeBack: () => undefined,
  };
}

function oidcTokens(): Credentials {
  const { issuer } = server;
  const tenants = new TenantMap([
    { identity: acme, serviceAccounts: [], oidc: [{ issuer, subject: 'ann', claim: null }] },
  ]);
  const nowS = Math.floor(NOW_MS / 1_000);
  return {
    authenticator: authenticator({ tenants, oidc: new Map([[issuer, oidcIssuer(settings(issuer), parts())]]) }),
    good: () => server.token(),
    unknown: () => Promise.resolve(server.unsignedToken()),
    strange: () => server.token({ sub: 'bob' }),
    expired: () => server.token({ exp: nowS - 31 }),
    forOthers: () => server.token({ aud: 'others' }),
    goDown() {
      server.fault = 'fails';
      return true;
    },
    comeBack() {
      server.fault = 'none';
    },
  };
}

function serviceAccounts(): Credentials {
  const api = new ReviewApi();
  const tenants = new TenantMap([{ identity: acme, serviceAccounts: ['team-a/batch'], oidc: [] }]);
  const audiences = ['pilotlight'];
  const token = (name: string, claims: object = {}) => {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const sub = `system:serviceaccount:team-a:${name}`;
    return `${part({ alg: 'RS256' })}.${part({ iss: 'https://kube', sub, aud: audiences, ...claims })}.${part({ name })}`;
  };
  const known = (name: string, isExpired = false) => {
    const username = `system:serviceaccount:team-a:${name}`;
    api.tokens.set(token(name), { username, audiences, isExpired });
    return Promise.resolve(token(name));
  };
  return {
    authenticator: authenticator({
      tenants,
      serviceAccounts: { reviews: tokenReviews({ kube: api, audiences, ...parts() }), audiences },
    }),
    good: () => known('batch'),
    unknown: () => Promise.resolve(token('made-up')),
    strange: () => known('other'),
    expired: () => known('old', true),
    forOthers: () => Promise.resolve(token('batch', { aud: ['others'] })),
    goDown(quoting) {
      api.goDown(quoting);
      return true;
    },
    comeBack() {
      api.failure = null;
    },
  };
}

describe.each([
  { kind: 'API keys', make: apiKeys },
  { kind: 'tokens of an OpenID Connect issuer', make: oidcTokens },
  { kind: 'tokens of ServiceAccounts', make: serviceAccounts },
])('$kind', ({ make }) => {
  const call = (credentials: Credentials, secret: string) =>
    credentials.authenticator.authenticate({ authorization: `Bearer ${secret}` });

  test('let their owner in as the tenant, and the next time without asking anybody', async () => {
    const credentials = make();
    const secret = await credentials.good();
    expect(await call(credentials, secret)).toBe(acme);
    expect(call(credentials, secret)).toBe(acme);
  });

  test('that nobody gave out get 401 invalid_api_key', async () => {
    const credentials = make();
    const refusal = await call(credentials, await credentials.unknown());
    expect(refusal).toMatchObject({ code: 'invalid_api_key', httpStatus: 401, retryable: false });
  });

  test('that are genuine but of nobody here get 403 with what to add', async () => {
    const credentials = make();
    const secret = await credentials.strange();
    if (secret === null) return;
    const refusal = await call(credentials, secret);
    expect(refusal).toMatchObject({ code: 'no_tenant', httpStatus: 403 });
    expect((refusal as PilotlightError).message).toMatch(/genuine, but .* belongs to no tenant here; add it to/);
  });

  test('that have expired, or are for others, get 401 and the reason', async () => {
    const credentials = make();
    for (const [secret, why] of [
      [await credentials.expired(), 'has expired'],
      [await credentials.forOthers(), 'is for another audience'],
    ] as const) {
      if (secret === null) continue;
      const refusal = await call(credentials, secret);
      expect(refusal).toMatchObject({ code: 'invalid_api_key' });
      expect((refusal as PilotlightError).message).toContain(why);
    }
  });

  test('that nobody can check now get 503 and a time to come back, never 401, and count again later', async () => {
    const credentials = make();
    const secret = await credentials.good();
    if (!credentials.goDown(secret)) return;
    expect(await call(credentials, secret)).toMatchObject({
      code: 'identity_unavailable',
      httpStatus: 503,
      retryAfterMs: 2_000,
    });
    credentials.comeBack();
    await clock.advance(5_000);
    expect(await call(credentials, secret)).toBe(acme);
  });

  test('that were accepted a moment ago stay so while nobody can be asked', async () => {
    const credentials = make();
    const secret = await credentials.good();
    await call(credentials, secret);
    credentials.goDown(secret);
    await clock.advance(61_000);
    expect(await call(credentials, secret)).toBe(acme);
  });

  test('never stand in an error or a log line', async () => {
    const credentials = make();
    const secrets: string[] = [];
    const told: string[] = [];
    for (const make of ['unknown', 'strange', 'expired', 'forOthers', 'good'] as const) {
      const secret = await credentials[make]();
      if (secret === null) continue;
      if (make === 'good') credentials.goDown(secret);
      secrets.push(secret);
      const answer = await call(credentials, secret);
      if (answer instanceof PilotlightError) told.push(answer.message, String(answer.stack), String(answer.cause));
    }
    const everything = [...told, ...logLines].join('\n');
    expect(everything.length).toBeGreaterThan(40);
    for (const secret of secrets) {
      for (const piece of [secret, ...secret.split('.').filter((one) => one.length > 20)]) {
        expect(everything).not.toContain(piece);
      }
    }
  });
});

describe('several kinds at once', () => {
  test('a key is looked up before anybody is asked, whatever it looks like', async () => {
    const secret = await server.token();
    const keys = new KeyTable([{ identity: acme, keys: [keyHash(secret)] }]);
    server.fault = 'hangs';
    const { issuer } = server;
    const oidc = new Map([[issuer, oidcIssuer(settings(issuer), parts())]]);
    const tokens = { tenants: new TenantMap([]), oidc, serviceAccounts: null };
    const both = createAuthenticator({ keys, anonymous: null, tokens });
    expect(both.authenticate({ authorization: `Bearer ${secret}` })).toBe(acme);
  });

  test.each([
    {
      name: 'an issuer that is not configured',
      claims: { iss: 'https://elsewhere' },
      says: "issued by 'https://elsewhere'",
    },
    { name: 'a name that is long', claims: { iss: 'x'.repeat(4_000) }, says: `${'x'.repeat(128)}…` },
  ])('a token of $name is refused without asking', async ({ claims, says }) => {
    const refusal = authenticator({}).authenticate({ authorization: `Bearer ${await server.token(claims)}` });
    expect(refusal).toMatchObject({ code: 'invalid_api_key' });
    expect((refusal as PilotlightError).message).toContain(says);
  });

  test('a token longer than 8,192 characters is refused unread', () => {
    const refusal = authenticator({}).authenticate({ authorization: `Bearer ${'x'.repeat(8_193)}` });
    expect((refusal as PilotlightError).message).toBe('The token is longer than 8192 characters.');
  });

  test('anonymous callers stay possible, but a bad token does not make one anonymous', async () => {
    const guest = identity({ tenant: 'guest' });
    const open = createAuthenticator({
      keys: new KeyTable([]),
      anonymous: guest,
      tokens: { tenants: new TenantMap([]), oidc: new Map(), serviceAccounts: null },
    });
    expect(open.authenticate({})).toBe(guest);
    expect(open.authenticate({ authorization: 'Bearer unused' })).toBe(guest);
    const token = await server.token();
    expect(await open.authenticate({ authorization: `Bearer ${token}` })).toMatchObject({ code: 'invalid_api_key' });
  });
});
