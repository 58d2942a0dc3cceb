import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Identity } from '../core/identity.ts';
import { type Config, isLoopback, type TenantSettings } from './config.ts';
import type { ParsedSettings } from './schema/configuration.ts';

type Caller = Omit<ParsedSettings['auth']['anonymous'], 'enabled' | 'tenant'>;
type Report = (path: readonly PropertyKey[], message: string, severity?: 'error' | 'warning') => void;

const KEY_LINE = /^sha256:([0-9a-f]{64})$/i;

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
  return tenants.map(({ name, keys, keysFile, ...caller }, index) => {
    const fromFile = keysFile === null ? [] : readKeys(keysFile, fileOf(index), ['tenants', index, 'keysFile'], report);
    const keySha256 = [...new Set([...keys, ...fromFile])];
    if (keySha256.length === 0 && keysFile === null) {
      report(['tenants', index], 'has no key, so nobody can call as it; add keys or keysFile');
    }
    return { identity: identityOf(name, caller), keySha256 };
  });
}

function readKeys(path: string, writtenIn: string | null, at: readonly PropertyKey[], report: Report): string[] {
  const file = writtenIn === null ? resolve(path) : resolve(dirname(writtenIn), path);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    report(at, `"${file}" cannot be read; check that it is there and readable`);
    return [];
  }
  const lines = text.split('\n').map((line, index) => ({ text: line.trim(), number: index + 1 }));
  return lines
    .filter((line) => line.text !== '' && !line.text.startsWith('#'))
    .flatMap((line) => {
      const hash = KEY_LINE.exec(line.text)?.[1];
      if (hash !== undefined) return [hash.toLowerCase()];
      report(at, `"${file}" line ${line.number} is not a key hash; write "sha256:" and 64 hex digits`);
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
  const keys = new Map<string, string>();
  for (const [index, { identity, keySha256 }] of tenants.entries()) {
    const first = names.get(identity.tenant);
    if (first !== undefined) {
      report(['tenants', index, 'name'], `"${identity.tenant}" is already tenants[${first}]; give each its own name`);
    }
    names.set(identity.tenant, first ?? index);
    for (const key of keySha256) {
      const owner = keys.get(key);
      if (owner !== undefined) {
        report(['tenants', index, 'keys'], `the same key belongs to tenant "${owner}"; a key names one tenant`);
      }
      keys.set(key, identity.tenant);
    }
    checkObjectives(identity, ['tenants', index], report);
  }
  if (auth.anonymous !== null) checkObjectives(auth.anonymous, ['auth', 'anonymous'], report);
  if (auth.anonymous === null && tenants.length === 0) {
    report(
      ['auth', 'anonymous', 'enabled'],
      `nobody could call: server.host ${server.host} is not loopback, so callers need keys; ` +
        'add tenants, or set auth.anonymous.enabled: true',
    );
  }
  if (auth.anonymous !== null && !isLoopback(server.host)) {
    report(
      ['auth', 'anonymous', 'enabled'],
      `whoever reaches ${server.host}:${server.port} can use the models without a key`,
      'warning',
    );
  }
}

function checkObjectives(identity: Identity, at: readonly PropertyKey[], report: Report): void {
  const allowed = identity.allowedObjectives;
  if (allowed === null) return;
  const check = (objective: string, field: readonly PropertyKey[]) => {
    if (allowed.includes(objective)) return;
    report([...at, ...field], `"${objective}" is not in allowedObjectives; add it there, or name another`);
  };
  if (identity.defaultObjective !== null) check(identity.defaultObjective, ['defaultObjective']);
  for (const [tier, objective] of Object.entries(identity.serviceTiers)) check(objective, ['serviceTiers', tier]);
}
