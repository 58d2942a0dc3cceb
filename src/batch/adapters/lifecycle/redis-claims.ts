import type { RedisClient } from '../../../platform/redis/connection.ts';
import { createHash } from 'node:crypto';
import { defineScript } from '../../../platform/redis/script.ts';
import type { Claim, CreationClaims } from '../../lifecycle/ports.ts';
import type { BatchDoc } from '../../ports.ts';
import { reached } from './redis-batch-index.ts';

const KEY_MS = 24 * 3_600_000;
const BODY_MS = 10 * 60_000;

const claimBody = defineScript({
  files: [new URL('./lua/claim-body.lua', import.meta.url)],
  keys: ['claim'],
  args: ['newId', 'isRetry', 'lifetimeMs'],
  parse: String,
});

/** Keys "<prefix>:batches:claim:{<tenant and what it sent, as SHA-256>}": callers' texts are in no key. */
export class RedisCreationClaims implements CreationClaims {
  readonly #client: RedisClient;
  readonly #prefix: string;

  constructor(client: RedisClient, options: { readonly prefix: string }) {
    this.#client = client;
    this.#prefix = `${options.prefix}:batches:claim:`;
  }

  byKey(tenant: string, key: string, bodyHash: string, newId: string): Promise<Claim> {
    const claim = this.#name(tenant, 'key', this.keyHash(key));
    return reached(async () => {
      const mine = `${bodyHash} ${newId}`;
      const isMine = await this.#client.set(claim, mine, 'PX', KEY_MS, 'NX');
      // It may lapse between the two commands: then nothing stands in the way of ours.
      const present = isMine === 'OK' ? mine : ((await this.#client.get(claim)) ?? mine);
      return claimOf(present, bodyHash);
    });
  }

  async find(tenant: string, key: string, bodyHash: string): Promise<Claim | null> {
    const present = await reached(() => this.#client.get(this.#name(tenant, 'key', this.keyHash(key))));
    return present === null ? null : claimOf(present, bodyHash);
  }

  byBody(tenant: string, bodyHash: string, isRetry: boolean, newId: string): Promise<string> {
    const keys = { claim: this.#name(tenant, 'body', bodyHash) };
    const args = { newId, isRetry: isRetry ? 1 : 0, lifetimeMs: BODY_MS };
    return reached(() => claimBody(this.#client, { keys, args }));
  }

  keyHash(key: string): string {
    return sha256(key);
  }

  async restore({ id, identity, repetition, createdAtEpochMs }: BatchDoc, nowEpochMs: number): Promise<void> {
    if (!repetition) return;
    const { keyHash, bodyHash } = repetition;
    const leftMs = createdAtEpochMs + (keyHash === null ? BODY_MS : KEY_MS) - nowEpochMs;
    if (leftMs <= 0) return;
    const claim = this.#name(identity.tenant, keyHash === null ? 'body' : 'key', keyHash ?? bodyHash);
    const value = keyHash === null ? `f ${id}` : `${bodyHash} ${id}`;
    await reached(() => this.#client.set(claim, value, 'PX', leftMs, 'NX'));
  }

  #name(tenant: string, kind: 'key' | 'body', hash: string): string {
    return `${this.#prefix}{${sha256(`${kind}\n${tenant}\n${hash}`)}}`;
  }
}

function claimOf(present: string, bodyHash: string): Claim {
  const [hash, id = ''] = present.split(' ');
  return hash === bodyHash ? { kind: 'id', id } : { kind: 'conflict' };
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
