import type { InferenceCall } from '../../../src/core/call.ts';
import type { Endpoint, EndpointDirectory, EngineMetrics } from '../../../src/core/endpoint.ts';
import type { PoolKey } from '../../../src/core/objects.ts';
import type { EndpointView, PickRequest } from '../../../src/picker/policy/plugin.ts';
import type { TextHash } from '../../../src/picker/ports.ts';

export const POOL = 'default/tiny';

export const engineMetrics = (changes: Partial<EngineMetrics> = {}): EngineMetrics => ({
  runningRequests: 0,
  waitingRequests: 0,
  runningAdapters: [],
  waitingAdapters: [],
  ...changes,
});

export const view = (id: string, changes: Partial<EndpointView> = {}): EndpointView => ({
  id,
  draining: false,
  answering: true,
  metrics: engineMetrics(),
  inFlight: 0,
  ...changes,
});

export const pickRequest = (changes: Partial<PickRequest> = {}): PickRequest => ({
  adapter: null,
  promptBlocks: 0,
  matchedBlocks: [],
  ...changes,
});

export function inferenceCall(changes: Partial<InferenceCall> & { prompt?: string } = {}): InferenceCall {
  const { prompt = 'Hello', ...rest } = changes;
  return {
    id: 'call-1',
    path: '/v1/chat/completions',
    pool: POOL,
    model: 'tiny',
    servedModel: 'tiny',
    adapter: null,
    stream: false,
    body: new Uint8Array(),
    promptText: () => prompt,
    inputTokens: 2,
    maxOutputTokens: null,
    forwardHeaders: {},
    ...rest,
  };
}

/** FNV-1a, 32 bits: not xxHash, but as chained and as deterministic. */
export const testHash: TextHash = (text, seed) => {
  let hash = 2_166_136_261 ^ seed;
  for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 16_777_619);
  return hash;
};

export const endpoint = (id: string, changes: Partial<Endpoint> = {}): Endpoint => ({
  id,
  pool: POOL,
  url: `http://${id}`,
  target: 'local',
  slotsPerEndpoint: 8,
  readyAtEpochMs: 0,
  draining: false,
  ...changes,
});

/** A directory that a test edits. */
export class FakeDirectory implements EndpointDirectory {
  #endpoints: readonly Endpoint[] = [];
  readonly #listeners = new Set<(pool: PoolKey) => void>();

  constructor(endpoints: readonly Endpoint[] = []) {
    this.#endpoints = endpoints;
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  set(...endpoints: readonly Endpoint[]): void {
    this.#endpoints = endpoints;
    for (const listener of this.#listeners) listener(POOL);
  }

  list(pool: PoolKey): readonly Endpoint[] {
    return this.#endpoints.filter((listed) => listed.pool === pool);
  }

  onChange(listener: (pool: PoolKey) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
