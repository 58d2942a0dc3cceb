import { expect, test } from 'vitest';
import { ConfiguredTenants } from '../../../src/config/tenant-terms.ts';
import { loadConfig } from '../../../src/config/load-config.ts';
import { NO_QUOTAS } from '../../../src/core/tenants.ts';

function configOf(env: Record<string, string>) {
  const loaded = loadConfig({ files: [], environment: env, flags: [] });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  return loaded.config;
}

const config = configOf({});
const identity = config.auth.anonymous;
if (!identity) throw new Error('nobody is let in');
const acme = { ...identity, tenant: 'acme', weight: 5, quotas: { ...NO_QUOTAS, requestsPerMinute: 60 } };
const tenant = { identity: acme, keys: [], ownKeys: [], keysFile: null, serviceAccounts: [], oidc: [] };

test('terms are those of the configured tenant, of anonymous callers, or of anybody', () => {
  const anonymous = { ...identity, weight: 2, quotas: { ...NO_QUOTAS, maxConcurrency: 3 } };
  const tenants = new ConfiguredTenants({ auth: { ...config.auth, anonymous }, tenants: [tenant] });
  expect(tenants.termsOf('acme')).toEqual({ weight: 5, quotas: { ...NO_QUOTAS, requestsPerMinute: 60 } });
  expect(tenants.termsOf(identity.tenant)).toEqual({ weight: 2, quotas: { ...NO_QUOTAS, maxConcurrency: 3 } });
  expect(tenants.termsOf('__proto__')).toEqual({ weight: 1, quotas: NO_QUOTAS });
});

test('a configuration that was read anew counts from then on', () => {
  const tenants = new ConfiguredTenants({ ...config, tenants: [tenant] });
  tenants.replace({ ...config, tenants: [{ ...tenant, identity: { ...acme, weight: 9 } }] });
  expect(tenants.termsOf('acme').weight).toBe(9);
});
