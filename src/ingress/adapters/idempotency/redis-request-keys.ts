import type { Clock } from '../../../core/clock.ts';
import { PilotlightError } from '../../../core/errors.ts';
import {
  ACCEPT_LEASE_MS,
  CALL_LEASE_MS,
  type ClaimEnd,
  KEY_KEPT_MS,
  type KeyClaim,
  type KeyUse,
  type RequestKeys,
} from '../../../core/idempotency.ts';
import type { RedisClient } from '../../../platform/redis/connection.ts';
import { defineScript } from '../../../platform/redis/script.ts';
import { hashOf } from './hash-of.ts';

const NEXT_STATE = { accepted: 'k', unknown: 'j', refused: '-' } as const satisfies Record<ClaimEnd, string>;

/** A lease survives one renewal that is lost. */
const RENEW_EVERY_MS = CALL_LEASE_MS / 3;

const claimKey = defineScript({
  files: [new URL('./lua/claim-key.lua', import.meta.url)],
  keys: ['claim'],
  args: ['requestHash', 'newId', 'kind', 'leaseMs', 'keptMs'],
  parse: claimOf,
});

const endKey = defineScript({
  files: [new URL('./lua/end-key.lua', import.meta.url)],
  keys: ['claim'],
  args: ['requestHash', 'id', 'next', 'keptMs'],
  parse: Number,
});

const renewKey = defineScript({
  files: [new URL('./lua/renew-key.lua', import.meta.url)],
  keys: ['claim'],
  args: ['requestHash', 'id', 'leaseMs'],
  parse: Number,
});

export interface RedisRequestKeysOptions {
  readonly prefix: string;
  readonly clock: Clock;
}

/**
 * Keys "<prefix>:idempotency:{<tenant and key, as SHA-256>}": callers' texts are in no key and in no value. Calls that run
 * are renewed by one timer, which rests while there are none.
 */
export class RedisRequestKeys implements RequestKeys {
  readonly #client: RedisClient;
  readonly #prefix: string;
  readonly #clock: Clock;
  readonly #calls = new Map<string, KeyUse>();
  readonly #stop = new AbortController();
  #isRenewing = false;

  readonly hashOf = hashOf;

  constructor(client: RedisClient, { prefix, clock }: RedisRequestKeysOptions) {
    this.#client = client;
    this.#prefix = `${prefix}:idempotency:`;
    this.#clock = clock;
  }

  claimJob(use: KeyUse, newId: string): Promise<KeyClaim> {
    const args = { requestHash: use.requestHash, newId, kind: 'j', leaseMs: ACCEPT_LEASE_MS, keptMs: KEY_KEPT_MS };
    return reached(() => claimKey(this.#client, { keys: this.#keys(use), args }));
  }

  async endJob(use: KeyUse, id: string, end: ClaimEnd): Promise<void> {
    const args = { requestHash: use.requestHash, id, next: NEXT_STATE[end], keptMs: KEY_KEPT_MS };
    await reached(() => endKey(this.#client, { keys: this.#keys(use), args }));
  }

  async claimCall(use: KeyUse, callId: string): Promise<KeyClaim> {
    const { requestHash } = use;
    const args = { requestHash, newId: callId, kind: 'c', leaseMs: CALL_LEASE_MS, keptMs: CALL_LEASE_MS };
    const claim = await reached(() => claimKey(this.#client, { keys: this.#keys(use), args }));
    if (claim.kind === 'mine') {
      this.#calls.set(callId, use);
      if (!this.#isRenewing) void this.#renew();
    }
    return claim;
  }

  async endCall(use: KeyUse, callId: string): Promise<void> {
    this.#calls.delete(callId);
    const args = { requestHash: use.requestHash, id: callId, next: '-', keptMs: 0 };
    await endKey(this.#client, { keys: this.#keys(use), args }).catch(() => undefined);
  }

  async restore(use: KeyUse, { id, acceptedAtEpochMs }: { id: string; acceptedAtEpochMs: number }): Promise<void> {
    const leftMs = acceptedAtEpochMs + KEY_KEPT_MS - this.#clock.epochMs();
    if (leftMs <= 0) return;
    const value = `k ${use.requestHash} ${id} 0`;
    await reached(() => this.#client.set(this.#keys(use).claim, value, 'PX', leftMs, 'NX'));
  }

  /** Stops renewing; what still runs lapses. */
  close(): void {
    this.#stop.abort();
  }

  #keys({ tenant, keyHash }: KeyUse): { readonly claim: string } {
    return { claim: `${this.#prefix}{${hashOf([tenant, keyHash])}}` };
  }

  async #renew(): Promise<void> {
    this.#isRenewing = true;
    while (this.#calls.size > 0) {
      await this.#clock.sleep(RENEW_EVERY_MS, this.#stop.signal).catch(() => undefined);
      if (this.#stop.signal.aborted) return;
      const renewed = [...this.#calls].map(([id, use]) => this.#renewCall(id, use));
      // What fails is tried again in time, or the claim lapses, as it does when this process dies.
      await Promise.allSettled(renewed);
    }
    this.#isRenewing = false;
  }

  async #renewCall(id: string, use: KeyUse): Promise<void> {
    const args = { requestHash: use.requestHash, id, leaseMs: CALL_LEASE_MS };
    await renewKey(this.#client, { keys: this.#keys(use), args });
    // It ended while it was renewed.
    if (!this.#calls.has(id)) await this.endCall(use, id);
  }
}

function claimOf(reply: unknown): KeyClaim {
  const [kind, id, isRepeated] = reply as [KeyClaim['kind'], string, number];
  if (kind === 'mine') return { kind, id, isRepeated: isRepeated === 1 };
  return kind === 'accepted' ? { kind, id } : { kind };
}

async function reached<T>(command: () => Promise<T>): Promise<T> {
  try {
    return await command();
  } catch (error) {
    const message = 'Redis, which knows what an Idempotency-Key stands for, does not answer. Try again in a moment.';
    throw new PilotlightError('queue_unavailable', message, { retryAfterMs: 1_000, cause: error });
  }
}
