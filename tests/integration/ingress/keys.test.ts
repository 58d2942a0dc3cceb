import { describe, expect, test } from 'vitest';
import type { Identity } from '../../../src/core/identity.ts';
import { createAuthenticator } from '../../../src/ingress/adapters/authenticator.ts';
import { KeyTable, keyHash, type TenantKeys } from '../../../src/ingress/adapters/configured-keys.ts';
import { uniqueIds } from '../../../src/ingress/adapters/unique-ids.ts';
import type { Authenticator } from '../../../src/ingress/ports.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { identity } from '../../unit/ingress/support/fake-catalog.ts';

const acme = {
  identity: identity({ tenant: 'acme' }),
  keys: [keyHash('one'), keyHash('two').toUpperCase().replace('SHA', 'sha')],
};
const other = { identity: identity({ tenant: 'other' }), keys: [keyHash('three')] };
const guest = identity({ tenant: 'guest' });

function configuredKeys(tenants: readonly TenantKeys[], anonymous: Identity | null): Authenticator {
  return createAuthenticator({ keys: new KeyTable(tenants), anonymous, tokens: null });
}

describe('API keys', () => {
  test.each([
    { name: 'the first key of a tenant', header: 'Bearer one', tenant: 'acme' },
    { name: 'its second key', header: 'bearer two', tenant: 'acme' },
    { name: "another tenant's key", header: 'Bearer  three ', tenant: 'other' },
  ])('knows $name', ({ header, tenant }) => {
    expect(configuredKeys([acme, other], null).authenticate({ authorization: header })).toMatchObject({ tenant });
  });

  test.each([
    { name: 'no key', headers: {} },
    { name: 'an unknown key', headers: { authorization: 'Bearer four' } },
    { name: 'a key without its scheme', headers: { authorization: 'one' } },
    { name: 'a hash instead of its key', headers: { authorization: `Bearer ${keyHash('one')}` } },
  ])('refuses $name', ({ headers }) => {
    expect(configuredKeys([acme], null).authenticate(headers)).toMatchObject({ code: 'invalid_api_key' });
  });

  test('lets callers without a key in as the anonymous tenant, but none with a wrong key', () => {
    const keys = configuredKeys([acme], guest);
    expect(keys.authenticate({})).toBe(guest);
    expect(keys.authenticate({ authorization: 'Bearer four' })).toMatchObject({ code: 'invalid_api_key' });
  });

  test('takes new keys in place of the old ones, and keeps the old ones when the new are faulty', () => {
    const table = new KeyTable([acme]);
    const keys = createAuthenticator({ keys: table, anonymous: null, tokens: null });
    table.replace([{ identity: acme.identity, keys: [keyHash('new')] }]);
    expect(keys.authenticate({ authorization: 'Bearer new' })).toMatchObject({ tenant: 'acme' });
    expect(keys.authenticate({ authorization: 'Bearer one' })).toMatchObject({ code: 'invalid_api_key' });
    expect(() => table.replace([{ identity: guest, keys: ['x'] }])).toThrow('tenants[0].keys[0]');
    expect(keys.authenticate({ authorization: 'Bearer new' })).toMatchObject({ tenant: 'acme' });
  });

  test('without any configured key takes the ones that official clients have to send', () => {
    expect(configuredKeys([], guest).authenticate({ authorization: 'Bearer unused' })).toBe(guest);
  });

  test.each([
    { name: 'a key in plain text', keys: ['sk-secret'], param: 'tenants[0].keys[0]' },
    { name: 'a key twice', keys: [keyHash('a'), keyHash('a')], param: 'tenants[0].keys[1]' },
  ])('does not start with $name, and does not repeat it', ({ keys, param }) => {
    const start = () => configuredKeys([{ identity: guest, keys }], null);
    expect(start).toThrow(expect.objectContaining({ code: 'config_invalid', param }) as Error);
    expect(start).not.toThrow(/sk-secret/);
  });
});

test('ids never repeat and sort by time', async () => {
  const clock = new FakeClock();
  const ids = uniqueIds(clock);
  const made: string[] = [];
  for (let round = 0; round < 100; round += 1) {
    made.push(ids.jobId());
    await clock.advance(1);
  }
  expect(new Set(made).size).toBe(100);
  expect([...made].sort()).toEqual(made);
  expect(ids.requestId()).toMatch(/^req_[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}$/);
});
