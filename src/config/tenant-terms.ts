import { NO_QUOTAS, type TenantDirectory, type TenantTerms } from '../core/tenants.ts';
import type { Config } from './config.ts';

/** Of whoever is not configured: what a trusted gateway names as a fairness id, jobs of a tenant that is gone. */
const OF_STRANGERS: TenantTerms = { weight: 1, quotas: NO_QUOTAS };

/** What each configured tenant, and callers without a key, are entitled to. */
export class ConfiguredTenants implements TenantDirectory {
  #terms: ReadonlyMap<string, TenantTerms>;

  constructor(config: Pick<Config, 'auth' | 'tenants'>) {
    this.#terms = termsOf(config);
  }

  termsOf(tenant: string): TenantTerms {
    return this.#terms.get(tenant) ?? OF_STRANGERS;
  }

  /** From now on. Key files change keys, not terms, so only a configuration that was read anew has to be told. */
  replace(config: Pick<Config, 'auth' | 'tenants'>): void {
    this.#terms = termsOf(config);
  }
}

function termsOf({ auth, tenants }: Pick<Config, 'auth' | 'tenants'>): ReadonlyMap<string, TenantTerms> {
  const identities = [...(auth.anonymous ? [auth.anonymous] : []), ...tenants.map(({ identity }) => identity)];
  return new Map(identities.map(({ tenant, weight, quotas }) => [tenant, { weight, quotas }]));
}
