import type { InferenceCall } from '../core/call.ts';
import type { Clock } from '../core/clock.ts';
import type { EndpointDirectory } from '../core/endpoint.ts';
import type { PoolKey } from '../core/objects.ts';
import type { EndpointRanker } from '../core/picking.ts';
import type { Random } from '../core/random.ts';
import type { EndpointView, PickRequest } from './policy/plugin.ts';
import { blockHashes, capacityBlocks, PrefixIndex } from './policy/prefix-index.ts';
import { type Explanation, explainRanking, type Profile, rankEndpoints } from './policy/profile.ts';
import type { EngineObservation, TextHash } from './ports.ts';

/** Metrics older than this are not believed: five slow polls. Their endpoint is rated neutral, never taken out. */
const STALE_AFTER_MS = 5_000;

/** An endpoint is passed over this long after so many failures in a row, unless nothing else is left. */
const FAILURES_TO_SHUN = 2;
const SHUN_FOR_MS = 2_000;

/** Calls whose prompt hashes are kept between rank and start. */
const MAX_REMEMBERED_CALLS = 256;

export interface PoolRankerDeps {
  readonly pool: PoolKey;
  readonly directory: EndpointDirectory;
  readonly profile: Profile;
  readonly hash: TextHash;
  readonly clock: Clock;
  readonly random: Random;
}

/** What is known of one endpoint. */
interface Entry {
  readonly id: string;
  draining: boolean;
  observation: EngineObservation | null;
  inFlight: number;
  failures: number;
  failedAtMs: number;
  readonly prefixes: PrefixIndex;
}

/**
 * Orders the endpoints of one pool. Knows in-flight calls exactly, metrics as of the last scrape, prefixes by what was
 * sent. With one endpoint nothing is rated: its prompts are only remembered after their answer, so that a second
 * endpoint finds the index filled.
 */
export class PoolRanker implements EndpointRanker {
  readonly #deps: PoolRankerDeps;
  readonly #profile: Profile;
  #entries: readonly Entry[] = [];
  #byId: ReadonlyMap<string, Entry> = new Map();
  #onlyId: readonly string[] | null = null;
  readonly #hashes = new Map<InferenceCall, readonly number[]>();
  readonly #unsubscribe: () => void;

  constructor(deps: PoolRankerDeps) {
    this.#deps = deps;
    this.#profile = deps.profile;
    this.#refresh();
    this.#unsubscribe = deps.directory.onChange((pool) => {
      if (pool === deps.pool) this.#refresh();
    });
  }

  rank(call: InferenceCall): readonly string[] {
    if (this.#onlyId && call.adapter === null) return this.#onlyId;
    const entries = this.#entries;
    if (entries.length === 0) return [];
    const request = this.#requestOf(call, entries);
    const ranked = rankEndpoints(this.#profile, request, this.#views(), this.#deps.random);
    return ranked.flatMap((index) => entries[index]?.id ?? []);
  }

  started(call: InferenceCall, endpointId: string): void {
    const entry = this.#byId.get(endpointId);
    if (!entry) return;
    entry.inFlight += 1;
    if (this.#onlyId || !this.#profile.usesPrefix) return;
    entry.prefixes.add(this.#hashesOf(call));
    this.#hashes.delete(call);
  }

  finished(call: InferenceCall, endpointId: string, result: 'ok' | 'failed'): void {
    const entry = this.#byId.get(endpointId);
    if (!entry) return;
    entry.inFlight = Math.max(0, entry.inFlight - 1);
    if (result === 'failed') {
      entry.failures += 1;
      entry.failedAtMs = this.#deps.clock.monotonicMs();
      return;
    }
    entry.failures = 0;
    if (this.#onlyId && this.#profile.usesPrefix) entry.prefixes.add(this.#hash(call));
  }

  /** Takes a scrape in. One that is older than the last is ignored. */
  observe(observation: EngineObservation): void {
    const entry = this.#byId.get(observation.endpointId);
    if (!entry) return;
    if (entry.observation && entry.observation.startedAtMonotonicMs > observation.startedAtMonotonicMs) return;
    entry.observation = observation;
    const { blockSizeTokens, numBlocks } = observation.metrics;
    entry.prefixes.setCapacity(capacityBlocks(blockSizeTokens, numBlocks));
  }

  /** Calls of this process in flight on the endpoint. */
  inFlight(endpointId: string): number {
    return this.#byId.get(endpointId)?.inFlight ?? 0;
  }

  /** How `call` would be rated now, endpoint by endpoint and plugin by plugin. Changes nothing. */
  explain(call: InferenceCall): readonly Explanation[] {
    return explainRanking(this.#profile, this.#requestOf(call, this.#entries), this.#views());
  }

  close(): void {
    this.#unsubscribe();
  }

  #refresh(): void {
    const endpoints = this.#deps.directory.list(this.#deps.pool);
    this.#entries = endpoints.map(({ id, draining }) => {
      const entry = this.#byId.get(id) ?? freshEntry(id);
      entry.draining = draining;
      return entry;
    });
    this.#byId = new Map(this.#entries.map((entry) => [entry.id, entry]));
    const [only] = this.#entries;
    this.#onlyId = only && this.#entries.length === 1 && !only.draining ? [only.id] : null;
  }

  /** When every endpoint fails just now, all count as answering: one has to be tried to see that it works again. */
  #views(): readonly EndpointView[] {
    const nowMs = this.#deps.clock.monotonicMs();
    const anyAnswers = this.#entries.some((entry) => !entry.draining && isAnswering(entry, nowMs));
    return this.#entries.map((entry) => {
      const { id, draining, inFlight, observation } = entry;
      const fresh = observation !== null && nowMs - observation.startedAtMonotonicMs <= STALE_AFTER_MS;
      const answering = !anyAnswers || isAnswering(entry, nowMs);
      return { id, draining, answering, inFlight, metrics: fresh ? observation.metrics : null };
    });
  }

  #requestOf(call: InferenceCall, entries: readonly Entry[]): PickRequest {
    if (!this.#profile.usesPrefix) return { adapter: call.adapter, promptBlocks: 0, matchedBlocks: [] };
    const hashes = this.#hashesOf(call);
    const matchedBlocks = entries.map(({ prefixes }) => prefixes.matched(hashes));
    return { adapter: call.adapter, promptBlocks: hashes.length, matchedBlocks };
  }

  /**
   * Kept for the few calls that were ranked last: one that runs at once is ranked, taken and started in a row; one that
   * waits is hashed again, which is cheaper than to keep the hashes of ten thousand held prompts.
   */
  #hashesOf(call: InferenceCall): readonly number[] {
    const known = this.#hashes.get(call);
    if (known) return known;
    const hashes = this.#hash(call);
    this.#hashes.set(call, hashes);
    for (const oldest of this.#hashes.keys()) {
      if (this.#hashes.size <= MAX_REMEMBERED_CALLS) break;
      this.#hashes.delete(oldest);
    }
    return hashes;
  }

  #hash(call: InferenceCall): readonly number[] {
    return blockHashes(this.#deps.hash, `${call.servedModel}\n${call.adapter ?? ''}`, call.promptText());
  }
}

function isAnswering({ failures, failedAtMs }: Entry, nowMs: number): boolean {
  return failures < FAILURES_TO_SHUN || nowMs - failedAtMs > SHUN_FOR_MS;
}

function freshEntry(id: string): Entry {
  return {
    id,
    draining: false,
    observation: null,
    inFlight: 0,
    failures: 0,
    failedAtMs: 0,
    prefixes: new PrefixIndex(),
  };
}
