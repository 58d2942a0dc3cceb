import { Cluster } from 'ioredis';
import type { RedisClient } from './connection.ts';

/** Name and arguments, the first of which is the key. */
export type RedisCommand = readonly [name: string, key: string, ...args: (string | number)[]];

/**
 * The replies to independent commands, in their order, sent together: as one pipeline to one server, and to each node of a
 * cluster what concerns it. Rejects when one of them failed; the others may have been executed.
 */
export async function sendMany(client: RedisClient, commands: readonly RedisCommand[]): Promise<unknown[]> {
  if (commands.length === 0) return [];
  if (client instanceof Cluster) {
    const settled = await Promise.allSettled(commands.map(([name, ...args]) => client.call(name, ...args)));
    return settled.map((one) => {
      if (one.status === 'rejected') throw one.reason;
      return one.value;
    });
  }
  const replies = (await client.pipeline(commands.map((command) => [...command])).exec()) ?? [];
  return commands.map((_, place) => {
    const [error, reply] = replies[place] ?? [new Error('Redis sent no answer'), null];
    if (error) throw error;
    return reply;
  });
}
