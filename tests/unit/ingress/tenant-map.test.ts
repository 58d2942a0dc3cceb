import { expect, test } from 'vitest';
import { bearerToken, uncheckedClaims, uncheckedExpiry } from '../../../src/ingress/policy/bearer-token.ts';
import { type OidcSubject, serviceAccountOf, TenantMap } from '../../../src/ingress/policy/tenant-map.ts';
import { identity } from './support/fake-catalog.ts';

const issuer = 'https://id.example';
const all = { issuer, subject: null, claim: null };
const tenants = new TenantMap([
  { identity: identity({ tenant: 'rest' }), serviceAccounts: [], oidc: [all] },
  {
    identity: identity({ tenant: 'data' }),
    serviceAccounts: ['team-a/batch'],
    oidc: [{ ...all, claim: { name: 'groups', value: 'data' } }],
  },
  { identity: identity({ tenant: 'ann' }), serviceAccounts: [], oidc: [{ ...all, subject: 'ann' }] },
]);

function subject(changes: Partial<OidcSubject> = {}): OidcSubject {
  return { issuer, name: 'bob', tenant: null, claims: {}, ...changes };
}

test.each([
  { name: 'its subject before its claims', of: subject({ name: 'ann', claims: { groups: ['data'] } }), want: 'ann' },
  { name: 'a value in a list claim', of: subject({ claims: { groups: ['x', 'data'] } }), want: 'data' },
  { name: 'a plain claim', of: subject({ claims: { groups: 'data' } }), want: 'data' },
  { name: 'a claim that only contains the value', of: subject({ claims: { groups: 'database' } }), want: 'rest' },
  { name: 'nothing but its issuer', of: subject(), want: 'rest' },
  { name: 'the tenant that its issuer names', of: subject({ name: 'ann', tenant: 'data' }), want: 'data' },
  { name: 'a tenant of the issuer that is not configured', of: subject({ tenant: 'other' }), want: undefined },
  { name: 'another issuer', of: subject({ issuer: 'https://id.example/', name: 'ann' }), want: undefined },
])('an OIDC token leads to a tenant by $name', ({ of, want }) => {
  expect(tenants.ofOidc(of)?.tenant).toBe(want);
});

test.each([
  { username: 'system:serviceaccount:team-a:batch', account: 'team-a/batch', tenant: 'data' },
  { username: 'system:serviceaccount:team-b:batch', account: 'team-b/batch', tenant: undefined },
  { username: 'system:serviceaccount:a:b:c', account: null, tenant: undefined },
  { username: 'system:serviceaccounts', account: null, tenant: undefined },
  { username: 'ann', account: null, tenant: undefined },
])('the user $username is the ServiceAccount $account', ({ username, account, tenant }) => {
  expect(serviceAccountOf(username)).toBe(account);
  expect(tenants.ofServiceAccount(account ?? '')?.tenant).toBe(tenant);
});

function token(claims: unknown): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'RS256' })}.${part(claims)}.c2ln`;
}

test.each([
  { name: 'no JWT', text: 'sk-123', want: null },
  { name: 'two parts', text: 'a.b', want: null },
  { name: 'a payload that is no JSON', text: 'a.bbbb.c', want: null },
  { name: 'a payload that is no object', text: token(null), want: null },
  { name: 'no issuer', text: token({ sub: 'x' }), want: null },
  {
    name: 'one audience as text, and letters beyond ASCII',
    text: token({ iss: 'i', sub: 'Zoë', aud: 'a' }),
    want: { issuer: 'i', subject: 'Zoë', audiences: ['a'] },
  },
  {
    name: 'odd claims',
    text: token({ iss: 'i', sub: 7, aud: ['a', 1] }),
    want: { issuer: 'i', subject: '', audiences: ['a'] },
  },
])('the claims of a token before its check: $name', ({ text, want }) => {
  expect(uncheckedClaims(text)).toEqual(want);
});

test('the end of a token is in milliseconds, and null where there is none', () => {
  expect(uncheckedExpiry(token({ exp: 12 }))).toBe(12_000);
  expect(uncheckedExpiry(token({ exp: '12' }))).toBeNull();
  expect(uncheckedExpiry('sk-123')).toBeNull();
});

test.each([
  { header: undefined, want: undefined },
  { header: 'Bearer abc', want: 'abc' },
  { header: 'bearer  abc ', want: 'abc' },
  { header: 'Basic abc', want: '' },
])('Authorization: $header holds $want', ({ header, want }) => {
  expect(bearerToken(header)).toBe(want);
});
