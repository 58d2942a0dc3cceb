import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TOKEN_CACHE_OPTIONS } from '../../src/ingress/adapters/answer-cache.ts';
import { type OidcIssuerSettings, oidcIssuer } from '../../src/ingress/adapters/oidc-issuer.ts';
import { OidcServer } from '../integration/ingress/support/oidc-server.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { silentLogger } from '../support/silent-logger.ts';
import { until } from '../support/until.ts';

const NOW_MS = Date.now();
const NOW_S = Math.floor(NOW_MS / 1_000);
let clock: FakeClock;
let server: OidcServer;
beforeEach(async () => {
  clock = new FakeClock(NOW_MS);
  server = await OidcServer.start();
});
afterEach(() => server.close());

function issuer(changes: Partial<OidcIssuerSettings> = {}, parts: { readonly keysCooldownMs?: number } = {}) {
  const settings = {
    issuer: server.issuer,
    audiences: ['pilotlight', 'second'],
    jwksUrl: null,
    algorithms: ['ES256', 'RS256'],
    usernameClaim: 'sub',
    tenantClaim: null,
    clockToleranceMs: 30_000,
    ...changes,
  };
  return oidcIssuer(settings, { clock, log: silentLogger, cache: TOKEN_CACHE_OPTIONS, ...parts });
}

describe('a token that holds', () => {
  test('names its subject, its claims and its end', async () => {
    const answer = await issuer().check(await server.token({ groups: ['a'] }));
    expect(answer).toMatchObject({
      kind: 'accepted',
      subject: { issuer: server.issuer, name: 'ann', tenant: null, claims: { groups: ['a'] } },
      expiresAtEpochMs: expect.any(Number) as number,
    });
  });

  test.each([
    { name: 'for one of several audiences', claims: { aud: ['others', 'second'] }, settings: {} },
    { name: 'with RSA keys', claims: {}, settings: {}, alg: 'RS256' },
    { name: 'from a clock that is 20 s ahead', claims: { nbf: NOW_S + 20 }, settings: {} },
    { name: 'that ended 20 s ago, within the tolerance', claims: { exp: NOW_S - 20 }, settings: {} },
  ])('is accepted $name', async ({ claims, settings, alg }) => {
    if (alg) await server.rotate(alg);
    expect(await issuer(settings).check(await server.token(claims))).toMatchObject({ kind: 'accepted' });
  });

  test('is named by the claims that the settings choose', async () => {
    const check = issuer({ usernameClaim: 'email', tenantClaim: 'org' });
    const answer = await check.check(await server.token({ email: 'a@b', org: 'acme' }));
    expect(answer).toMatchObject({ subject: { name: 'a@b', tenant: 'acme' } });
  });

  test('needs no discovery when the place of the keys is configured', async () => {
    server.claimsToBe = 'https://somebody.else';
    const answer = await issuer({ jwksUrl: `${server.issuer}/keys` }).check(await server.token());
    expect(answer).toMatchObject({ kind: 'accepted' });
  });
});

describe('a token is refused', () => {
  test.each([
    {
      name: 'without a signature',
      make: () => Promise.resolve(server.unsignedToken()),
      why: 'algorithm that is not allowed',
    },
    { name: 'with HMAC over the public key', make: () => server.confusedToken(), why: 'algorithm that is not allowed' },
    { name: 'after its end', make: () => server.token({ exp: NOW_S - 31 }), why: 'has expired' },
    { name: 'without an end', make: () => server.token({ exp: undefined }), why: "has no claim 'exp'" },
    { name: 'before its time', make: () => server.token({ nbf: NOW_S + 60 }), why: "a claim 'nbf' that does not hold" },
    { name: 'for others', make: () => server.token({ aud: 'others' }), why: 'is for another audience' },
    { name: 'for nobody', make: () => server.token({ aud: undefined }), why: 'is for another audience' },
    { name: 'without a subject', make: () => server.token({ sub: '' }), why: "has no claim 'sub'" },
    {
      name: 'of another issuer',
      make: () => server.token({ iss: 'https://x' }),
      why: "a claim 'iss' that does not hold",
    },
    { name: 'with a key nobody publishes', make: () => server.token({}, { kid: 'other' }), why: 'does not publish' },
    {
      name: 'with one letter changed',
      make: async () =>
        (await server.token()).replace(/\.(.)/, (_all, letter: string) => `.${letter === 'e' ? 'f' : 'e'}`),
      why: 'signature that does not match',
    },
    {
      name: 'with the signature of another token',
      make: async () => {
        const [head, body] = (await server.token()).split('.');
        return `${head!}.${body!}.${(await server.token({ sub: 'eve' })).split('.')[2]!}`;
      },
      why: 'signature that does not match',
    },
  ])('$name', async ({ make, why }) => {
    const answer = await issuer().check(await make());
    expect(answer).toMatchObject({ kind: 'refused' });
    expect(answer).toHaveProperty('why', expect.stringContaining(why) as string);
  });

  test('with an algorithm that the settings leave out', async () => {
    await server.rotate('RS256');
    expect(await issuer({ algorithms: ['ES256'] }).check(await server.token())).toMatchObject({ kind: 'refused' });
  });
});

describe('the keys of the issuer', () => {
  test('are fetched once for many tokens at one time', async () => {
    const authority = issuer();
    const tokens = await Promise.all(['a', 'b', 'c', 'd'].map((sub) => server.token({ sub })));
    await Promise.all(tokens.map(async (token) => authority.check(token)));
    expect(server.keyFetches).toBe(1);
  });

  test('are fetched again for a key that is not among them: after a rotation its tokens hold at once', async () => {
    const authority = issuer({}, { keysCooldownMs: 0 });
    await authority.check(await server.token());
    const late = await server.token({ sub: 'late' });
    await server.rotate();
    expect(await authority.check(await server.token())).toMatchObject({ kind: 'accepted' });
    expect(await authority.check(late)).toMatchObject({ kind: 'refused' });
  });

  test('are not fetched for every made-up key', async () => {
    const authority = issuer();
    for (let made = 0; made < 20; made += 1) {
      await authority.check(await server.token({ sub: String(made) }, { kid: `made-up-${made}` }));
    }
    expect(server.keyFetches).toBe(1);
  });

  test('are fetched again in the background after ten minutes, so that a withdrawn key ends', async () => {
    const authority = issuer();
    await authority.check(await server.token());
    const late = await server.token({ sub: 'late', exp: NOW_S + 3_600 });
    await server.rotate();
    await clock.advance(600_001);
    await authority.check(await server.token({ sub: 'other' }));
    await until(() => server.keyFetches === 2, 'the second fetch');
    await until(async () => (await authority.check(late)).kind === 'refused', 'the end of the old key');
  });

  test('stay usable while the issuer is down, also beyond ten minutes', async () => {
    const authority = issuer();
    await authority.check(await server.token());
    const fresh = await server.token({ sub: 'fresh', exp: NOW_S + 3_600 });
    server.fault = 'fails';
    await clock.advance(1_200_000);
    expect(await authority.check(fresh)).toMatchObject({ kind: 'accepted' });
  });

  test.each(['hangs', 'fails', 'garbage', 'endless'] as const)(
    'cannot be had from an issuer that %s: unavailable, not refused, and within seconds',
    async (fault) => {
      server.fault = fault;
      const askedAtMs = performance.now();
      const answer = await issuer().check(await server.token());
      expect(answer).toEqual({
        kind: 'unavailable',
        why: `the keys of the issuer '${server.issuer}' cannot be fetched`,
      });
      expect(performance.now() - askedAtMs).toBeLessThan(10_000);
      server.fault = 'none';
      expect(await issuer().check(await server.token())).toMatchObject({ kind: 'accepted' });
    },
  );

  test('are not taken from a discovery document of somebody else', async () => {
    server.claimsToBe = 'https://somebody.else';
    expect(await issuer().check(await server.token())).toMatchObject({ kind: 'unavailable' });
  });
});
