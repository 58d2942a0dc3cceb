import { Cluster, type Redis } from 'ioredis';
import { isReplyError, type RedisClient } from './connection.ts';
import { slotOf } from './slot.ts';

/**
 * The one server that a key lies on as far as is known now; what is sent to it is never led elsewhere. Outside a cluster the
 * client itself. Throws when the cluster does not know a primary for the key: nothing was sent.
 */
export function serverOf(client: RedisClient, key: string): Redis {
  if (!(client instanceof Cluster)) return client;
  const address = client.slots[slotOf(key)]?.[0];
  const primary = client.nodes('master').find(({ options }) => `${options.host}:${options.port}` === address);
  if (primary === undefined) {
    refreshSlots(client);
    throw new Error('no node of the Redis cluster is known to serve this key; it is asked again');
  }
  return primary;
}

/** Every server that holds data: the primaries of a cluster, or the one there is. */
export function primariesOf(client: RedisClient): readonly Redis[] {
  return client instanceof Cluster ? client.nodes('master') : [client];
}

/** Asks the cluster again which node has which slots. Does nothing outside a cluster. */
export function refreshSlots(client: RedisClient): void {
  if (client instanceof Cluster) client.refreshSlotsCache();
}

/** Whether a node of a cluster refused, because it does not have the key (now) or the cluster is down. */
export function isMoved(error: unknown): boolean {
  return isReplyError(error) && /^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN)\b|non local key/.test(error.message);
}
