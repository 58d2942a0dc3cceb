import { type Config, isLoopback, type TenantSettings } from './config.ts';
import type { Report } from './identities.ts';
import type { ParsedSettings } from './schema/configuration.ts';

type Auth = Config['auth'];

/** ServiceAccount tokens are checked when a tenant lists some, unless it is said otherwise. */
export function serviceAccountSettings(
  { serviceAccounts }: ParsedSettings['auth'],
  tenants: ParsedSettings['tenants'],
): Auth['serviceAccounts'] {
  const listed = tenants.some((tenant) => tenant.serviceAccounts.length > 0);
  return { enabled: serviceAccounts.enabled ?? listed, audiences: serviceAccounts.audiences };
}

/** Rules about tokens that join several settings. `enabled` is what was written. */
export function checkTokens(
  config: Pick<Config, 'auth' | 'tenants' | 'kubernetes'>,
  enabled: boolean | null,
  report: Report,
): void {
  const { auth, tenants, kubernetes } = config;
  if (!kubernetes.enabled) reportWithoutKubernetes(config, enabled, report);
  const issuers = checkIssuers(auth, report);
  const owners = new Map<string, string>();
  /** Each mapping leads to one tenant. */
  const claim = (what: string, tenant: string, at: readonly PropertyKey[], shown: string) => {
    const owner = owners.get(what);
    if (owner !== undefined) report(at, `${shown} belongs to tenant "${owner}" already; one caller is one tenant`);
    owners.set(what, owner ?? tenant);
  };
  for (const [index, tenant] of tenants.entries()) {
    const at = ['tenants', index];
    const { tenant: name } = tenant.identity;
    if (tenant.serviceAccounts.length > 0 && enabled === false) {
      const why = 'do not count, because auth.serviceAccounts.enabled is false; remove one of the two';
      report([...at, 'serviceAccounts'], why);
    }
    for (const [place, account] of tenant.serviceAccounts.entries()) {
      claim(`account ${account}`, name, [...at, 'serviceAccounts', place], `"${account}"`);
    }
    for (const [place, match] of tenant.oidc.entries()) {
      const here = [...at, 'oidc', place];
      if (!issuers.has(match.issuer)) {
        report([...here, 'issuer'], `"${match.issuer}" is not in auth.oidc; add it there, exactly as written here`);
      }
      claim(`oidc ${JSON.stringify([match.issuer, match.subject, match.claim])}`, name, here, 'the same subject');
    }
    reportUnreachable(tenant, auth, at, report);
  }
}

function reportUnreachable(tenant: TenantSettings, auth: Auth, at: readonly PropertyKey[], report: Report): void {
  const hasKeys = tenant.keys.length > 0 || tenant.keysFile !== null;
  const hasTokens = tenant.serviceAccounts.length > 0 || tenant.oidc.length > 0;
  if (hasKeys || hasTokens || auth.oidc.some((issuer) => issuer.tenantClaim !== null)) return;
  report(at, 'has no key, so nobody can call as it; add keys, keysFile, serviceAccounts or oidc');
}

function reportWithoutKubernetes(
  { auth, tenants }: Pick<Config, 'auth' | 'tenants'>,
  enabled: boolean | null,
  report: Report,
) {
  const why = 'needs an API server to ask; set kubernetes.enabled: true';
  if (enabled === true) report(['auth', 'serviceAccounts', 'enabled'], why);
  if (auth.protectMetrics) report(['auth', 'protectMetrics'], why);
  for (const [index, { serviceAccounts }] of tenants.entries()) {
    if (serviceAccounts.length > 0) report(['tenants', index, 'serviceAccounts'], why);
  }
}

/** The configured issuers. */
function checkIssuers({ oidc }: Auth, report: Report): ReadonlySet<string> {
  const seen = new Map<string, number>();
  for (const [index, { issuer, jwksUrl }] of oidc.entries()) {
    const at = ['auth', 'oidc', index];
    const first = seen.get(issuer);
    if (first !== undefined) report([...at, 'issuer'], `is auth.oidc[${first}] too; one entry for each issuer`);
    seen.set(issuer, first ?? index);
    const problem = urlProblem(issuer);
    if (problem) report([...at, 'issuer'], problem);
    const keysProblem = jwksUrl === null ? null : urlProblem(jwksUrl);
    if (keysProblem) report([...at, 'jwksUrl'], keysProblem);
  }
  return new Set(seen.keys());
}

/** Whoever can change the keys on their way can be anybody, so they come over TLS or from this machine. */
function urlProblem(written: string): string | null {
  if (!URL.canParse(written)) return `"${written}" is not a URL; write it like "https://issuer.example"`;
  const { protocol, hostname, username, password } = new URL(written);
  if (username !== '' || password !== '') return 'must not hold a user or password';
  if (protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname))) return null;
  return `"${written}" is not secure; use https (http only for a loopback address)`;
}
