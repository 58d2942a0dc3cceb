import type { Clock } from '../../../core/clock.ts';
import {
  ACCEPT_LEASE_MS,
  type ClaimEnd,
  KEY_KEPT_MS,
  type KeyClaim,
  type KeyUse,
  type RequestKeys,
} from '../../../core/idempotency.ts';
import { hashOf } from './hash-of.ts';

interface Entry {
  state: 'accepted' | 'accepting' | 'running';
  readonly requestHash: string;
  readonly id: string;
  leasedUntilMs: number;
  readonly keptUntilMs: number;
}

/** More are not kept: the oldest is forgotten first. */
const MAX_ENTRIES = 100_000;

/** The keys of one process that has no others beside it. */
export class MemoryRequestKeys implements RequestKeys {
  readonly hashOf = hashOf;
  readonly #clock: Pick<Clock, 'epochMs'>;
  readonly #entries = new Map<string, Entry>();

  constructor(clock: Pick<Clock, 'epochMs'>) {
    this.#clock = clock;
  }

  claimJob(use: KeyUse, newId: string): Promise<KeyClaim> {
    return Promise.resolve(this.#claim(use, newId, 'accepting', ACCEPT_LEASE_MS));
  }

  endJob(use: KeyUse, id: string, end: ClaimEnd): Promise<void> {
    this.#end(use, id, end);
    return Promise.resolve();
  }

  claimCall(use: KeyUse, callId: string): Promise<KeyClaim> {
    return Promise.resolve(this.#claim(use, callId, 'running', Number.POSITIVE_INFINITY));
  }

  endCall(use: KeyUse, callId: string): Promise<void> {
    this.#end(use, callId, 'refused');
    return Promise.resolve();
  }

  restore(use: KeyUse, { id, acceptedAtEpochMs }: { id: string; acceptedAtEpochMs: number }): Promise<void> {
    if (!this.#present(use)) this.#put(use, { state: 'accepted', id, leasedUntilMs: 0, acceptedAtEpochMs });
    return Promise.resolve();
  }

  #claim(use: KeyUse, newId: string, state: Entry['state'], leaseMs: number): KeyClaim {
    const nowMs = this.#clock.epochMs();
    const present = this.#present(use);
    if (present && present.requestHash !== use.requestHash) return { kind: 'conflict' };
    if (present?.state === 'accepted') return { kind: 'accepted', id: present.id };
    if (present && present.leasedUntilMs > nowMs) return { kind: 'busy' };
    const id = present?.state === 'accepting' ? present.id : newId;
    this.#put(use, { state, id, leasedUntilMs: nowMs + leaseMs, acceptedAtEpochMs: nowMs });
    return { kind: 'mine', id, isRepeated: present?.state === 'accepting' };
  }

  #end(use: KeyUse, id: string, end: ClaimEnd): void {
    const present = this.#present(use);
    if (present && present.id !== id) return;
    if (end === 'refused') this.#entries.delete(nameOf(use));
    else {
      const state = end === 'accepted' ? 'accepted' : 'accepting';
      this.#put(use, { state, id, leasedUntilMs: 0, acceptedAtEpochMs: this.#clock.epochMs() });
    }
  }

  #put(
    use: KeyUse,
    { acceptedAtEpochMs, ...entry }: Pick<Entry, 'state' | 'id' | 'leasedUntilMs'> & { acceptedAtEpochMs: number },
  ): void {
    const name = nameOf(use);
    this.#entries.delete(name);
    const keptUntilMs = acceptedAtEpochMs + KEY_KEPT_MS;
    this.#entries.set(name, { ...entry, requestHash: use.requestHash, keptUntilMs });
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > MAX_ENTRIES && oldest !== undefined) this.#entries.delete(oldest);
  }

  #present(use: KeyUse): Entry | undefined {
    const entry = this.#entries.get(nameOf(use));
    return entry && (entry.state === 'running' || entry.keptUntilMs > this.#clock.epochMs()) ? entry : undefined;
  }
}

function nameOf({ tenant, keyHash }: KeyUse): string {
  return `${keyHash} ${tenant}`;
}
