import { hash, timingSafeEqual } from 'node:crypto';
import { PilotlightError } from '../../core/errors.ts';
import type { Identity } from '../../core/identity.ts';
import type { Authenticator, CallHeaders } from '../ports.ts';

/** A tenant of the configuration with its keys as "sha256:<64 hex digits>". */
export interface TenantKeys {
  readonly identity: Identity;
  readonly keys: readonly string[];
}

interface KnownKey {
  readonly digest: Buffer;
  readonly identity: Identity;
}

const KEY_HASH = /^sha256:([0-9a-f]{64})$/i;

/**
 * Bearer keys against configured hashes. Without a key a caller is `anonymous`, if that is allowed. A key that nobody
 * has is refused, unless there are no keys at all: then nobody checks (official clients always send one).
 * Throws `config_invalid` for a malformed or repeated hash.
 */
export function configuredKeys(tenants: readonly TenantKeys[], anonymous: Identity | null): Authenticator {
  const known = knownKeys(tenants);
  const open = known.size === 0 ? anonymous : null;
  return {
    authenticate(headers) {
      if (open) return open;
      const key = bearerKey(headers);
      if (key === undefined) return anonymous ?? invalidKey('No API key. Send it as "Authorization: Bearer <key>".');
      const digest = hash('sha256', key, 'buffer');
      // The bucket depends on a hash of the key, so its choice tells nothing that helps to guess one.
      const match = known.get(bucketOf(digest))?.find((candidate) => timingSafeEqual(candidate.digest, digest));
      return match?.identity ?? invalidKey('This API key is not known here.');
    },
  };
}

/** The hash to put into the configuration for a key. */
export function keyHash(key: string): string {
  return `sha256:${hash('sha256', key, 'hex')}`;
}

function knownKeys(tenants: readonly TenantKeys[]): Map<number, KnownKey[]> {
  const known = new Map<number, KnownKey[]>();
  for (const [tenantIndex, { identity, keys }] of tenants.entries()) {
    for (const [keyIndex, text] of keys.entries()) {
      const param = `tenants[${tenantIndex}].keys[${keyIndex}]`;
      const hex = KEY_HASH.exec(text)?.[1];
      if (hex === undefined) {
        throw new PilotlightError('config_invalid', `${param}: must be "sha256:" and 64 hex digits.`, { param });
      }
      const digest = Buffer.from(hex, 'hex');
      const bucket = known.get(bucketOf(digest)) ?? [];
      const other = bucket.find((candidate) => candidate.digest.equals(digest));
      if (other) {
        const message = `${param}: tenant '${other.identity.tenant}' has the same key.`;
        throw new PilotlightError('config_invalid', message, { param });
      }
      known.set(bucketOf(digest), [...bucket, { digest, identity }]);
    }
  }
  return known;
}

function bucketOf(digest: Buffer): number {
  return digest.readUInt32BE(0);
}

/** The key that was sent; "", which nobody has, for another scheme than Bearer. */
function bearerKey(headers: CallHeaders): string | undefined {
  const header = headers.authorization;
  if (typeof header !== 'string') return undefined;
  return header.slice(0, 7).toLowerCase() === 'bearer ' ? header.slice(7).trim() : '';
}

function invalidKey(message: string): PilotlightError {
  return new PilotlightError('invalid_api_key', message);
}
