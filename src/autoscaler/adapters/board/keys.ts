import type { PoolKey } from '../../../core/objects.ts';

/** Where an installation's things are in Redis. */
export interface RedisPlace {
  /** In front of every key of this program, without the colon, e.g. "pilotlight". */
  readonly keyPrefix: string;
  readonly installation: string;
}

/** A hash for each pool. Keys of one pool share a hash tag, so that they share a slot in Redis Cluster. */
export function boardKey({ keyPrefix, installation }: RedisPlace, pool: PoolKey): string {
  return `${keyPrefix}:{${installation}/${pool}}:board`;
}

/** Each message is the key of a pool whose record changed: a hint to read it. */
export function boardChannel({ keyPrefix, installation }: RedisPlace): string {
  return `${keyPrefix}:${installation}:board`;
}

/** `what` of the whole installation. */
export function installationKey({ keyPrefix, installation }: RedisPlace, what: string): string {
  return `${keyPrefix}:{${installation}}:${what}`;
}
