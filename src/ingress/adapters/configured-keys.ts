import { hash, timingSafeEqual } from 'node:crypto';
import { PilotlightError } from '../../core/errors.ts';
import type { Identity } from '../../core/identity.ts';

/** A tenant of the configuration with its keys as "sha256:<64 hex digits>". */
export interface TenantKeys {
  readonly identity: Identity;
  readonly keys: readonly string[];
}

interface KnownKey {
  readonly digest: Buffer;
  readonly identity: Identity;
}

type KnownKeys = ReadonlyMap<number, readonly KnownKey[]>;

const KEY_HASH = /^sha256:([0-9a-f]{64})$/i;

/** API keys by their hash; the keys themselves are never here. */
export class KeyTable {
  #known: KnownKeys;

  /** Throws `config_invalid` for a malformed or repeated hash. */
  constructor(tenants: readonly TenantKeys[]) {
    this.#known = knownKeys(tenants);
  }

  /** From now on these keys are the known ones. Throws as the constructor does, and then leaves the table as it was. */
  replace(tenants: readonly TenantKeys[]): void {
    this.#known = knownKeys(tenants);
  }

  get isEmpty(): boolean {
    return this.#known.size === 0;
  }

  find(key: string): Identity | undefined {
    const digest = hash('sha256', key, 'buffer');
    // The bucket depends on a hash of the key, so its choice tells nothing that helps to guess one.
    return this.#known.get(bucketOf(digest))?.find((candidate) => timingSafeEqual(candidate.digest, digest))?.identity;
  }
}

/** The hash to put into the configuration for a key. */
export function keyHash(key: string): string {
  return `sha256:${hash('sha256', key, 'hex')}`;
}

function knownKeys(tenants: readonly TenantKeys[]): KnownKeys {
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
