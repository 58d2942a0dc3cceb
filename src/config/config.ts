import type { Identity } from '../core/identity.ts';
import type { ParsedSettings } from './schema/configuration.ts';

/** A caller with API keys or tokens. */
export interface TenantSettings {
  readonly identity: Identity;
  /** Hash of each key, "sha256:" and 64 lower-case hex digits; from `keys` and `keysFile`. */
  readonly keys: readonly string[];
  /** Those of them that were written in `keys`. */
  readonly ownKeys: readonly string[];
  /** Absolute path. */
  readonly keysFile: string | null;
  /** "namespace/name" */
  readonly serviceAccounts: readonly string[];
  readonly oidc: ParsedSettings['tenants'][number]['oidc'];
}

/** All settings, checked, units converted (…Ms, …Bytes), files that they name read. Never changes while a process runs. */
export interface Config extends Omit<ParsedSettings, 'auth' | 'tenants'> {
  readonly auth: {
    /** Who callers without a key are; null = they are refused. */
    readonly anonymous: Identity | null;
    readonly serviceAccounts: { readonly enabled: boolean; readonly audiences: readonly string[] };
    readonly oidc: ParsedSettings['auth']['oidc'];
    readonly protectMetrics: boolean;
  };
  readonly tenants: readonly TenantSettings[];
}

/** Whether only this machine can reach an address: "localhost", 127.0.0.0/8 or ::1. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host);
}
