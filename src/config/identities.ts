import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Identity } from '../core/identity.ts';
import { type Config, isLoopback, type TenantSettings } from './config.ts';
import type { ParsedSettings } from './schema/configuration.ts';

type Caller = Omit<ParsedSettings['auth']['anonymous'], 'enabled' | 'tenant'>;
export type Report = (path: readonly PropertyKey[], message: string, severity?: 'error' | 'warning') => void;

const KEY_HASH = /^sha256:[0-9a-f]{64}$/i;

/** Who callers without a key are; null = refused. By default they are served on loopback only. */
export function anonymousIdentity(settings: Pick<ParsedSettings, 'auth' | 'server'>): Identity | null {
  const { enabled, tenant, ...caller } = settings.auth.anonymous;
  return (enabled ?? isLoopback(settings.server.host)) ? identityOf(tenant, caller) : null;
}

/** Tenants with their keys, those of their `keysFile` included. `fileOf` names the file that a tenant was written in. */
export function readTenants(
  tenants: ParsedSettings['tenants'],
  fileOf: (index: number) => string | null,
  report: Report,
): TenantSettings[] {
  return tenants.map(({ name, keys: ownKeys, keysFile: path, serviceAccounts, oidc, ...caller }, index) => {
    const writtenIn = fileOf(index);
    const keysFile = path === null ? null : resolve(writtenIn === null ? '' : dirname(writtenIn), path);
    const tenant = { identity: identityOf(name, caller), ownKeys, keysFile, serviceAccounts, oidc };
    return { ...tenant, keys: keysOf(tenant, (problem) => report(['tenants', index, 'keysFile'], problem)) };
  });
}

/** The keys that a tenant has now: its own and those in its file. What is wrong with the file is reported. */
export function keysOf(
  { ownKeys, keysFile }: Pick<TenantSettings, 'ownKeys' | 'keysFile'>,
  report: (problem: string) => void,
): string[] {
  return [...new Set([...ownKeys, ...(keysFile === null ? [] : readKeys(keysFile, report))])];
}

function readKeys(file: string, report: (problem: string) => void): string[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    report(`"${file}" cannot be read; check that it is there and readable`);
    return [];
  }
  const lines = text.split('\n').map((line, index) => ({ text: line.trim(), number: index + 1 }));
  return lines
    .filter((line) => line.text !== '' && !line.text.startsWith('#'))
    .flatMap((line) => {
      if (KEY_HASH.test(line.text)) return [line.text.toLowerCase()];
      report(`"${file}" line ${line.number} is not a key hash; write "sha256:" and 64 hex digits`);
      return [];
    });
}

function identityOf(tenant: string, caller: Caller): Identity {
  return { tenant, ...caller };
}

/** Rules that join several settings. */
export function checkCallers(config: Pick<Config, 'auth' | 'tenants' | 'server'>, report: Report): void {
  const { auth, tenants, server } = config;
  const names = new Map<string, number>();
  const owners = new Map<string, string>();
  const anonymousAt = tenants.findIndex(({ identity }) => identity.tenant === auth.anonymous?.tenant);
  if (anonymousAt >= 0) {
    const why =
      'is the tenant of callers without a key too (auth.anonymous.tenant), who would see its jobs; rename one';
    report(['tenants', anonymousAt, 'name'], why);
  }
  for (const [index, { identity, keys }] of tenants.entries()) {
    const first = names.get(identity.tenant);
    if (first !== undefined) {
      report(['tenants', index, 'name'], `"${identity.tenant}" is already tenants[${first}]; give each its own name`);
    }
    names.set(identity.tenant, first ?? index);
    for (const key of keys) {
      const owner = owners.get(key);
      if (owner !== undefined) {
        report(['tenants', index, 'keys'], `the same key belongs to tenant "${owner}"; a key names one tenant`);
      }
      owners.set(key, identity.tenant);
    }
    checkServiceTiers(identity, ['tenants', index], report);
  }
  if (auth.anonymous !== null) checkServiceTiers(auth.anonymous, ['auth', 'anonymous'], report);
  if (auth.anonymous === null && tenants.length === 0) reportNobody(server.host, report);
  if (auth.anonymous !== null && !isLoopback(server.host)) {
    report(
      ['auth', 'anonymous', 'enabled'],
      `whoever reaches ${server.host}:${server.port} can use the models without a key`,
      'warning',
    );
  }
}

function reportNobody(host: string, report: Report): void {
  if (isLoopback(host)) {
    report(['auth', 'anonymous', 'enabled'], 'is false and there are no tenants, so nobody could call; add tenants');
  } else {
    const why =
      'is not loopback, so callers need keys, and there are none; add tenants, or set auth.anonymous.enabled: true';
    report(['server', 'host'], why);
  }
}

function checkServiceTiers(identity: Identity, at: readonly PropertyKey[], report: Report): void {
  const allowed = identity.allowedObjectives;
  if (allowed === null) return;
  for (const [tier, objective] of Object.entries(identity.serviceTiers)) {
    if (allowed.includes(objective)) continue;
    const why = `"${objective}" is not in allowedObjectives; add it there, or name another`;
    report([...at, 'serviceTiers', tier], why);
  }
}
