/**
 * What one pick costs, and what one scrape costs to read.
 *
 *   npm run bench -- picker
 *
 * Each figure is the median of 15 rounds after warm-up, in one process, in microseconds of wall time per operation.
 * Prompts differ in their last block, as the turns of many chats do; every endpoint has seen all the others.
 */
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import type { InferenceCall } from '../src/core/call.ts';
import type { Endpoint, EndpointDirectory } from '../src/core/endpoint.ts';
import { seededRandom } from '../src/core/random.ts';
import { loadXxhash32 } from '../src/picker/adapters/xxhash.ts';
import { readEngineMetrics } from '../src/picker/policy/engines.ts';
import { compileProfile, DEFAULT_PROFILE } from '../src/picker/policy/profile.ts';
import { PoolRanker } from '../src/picker/pool-ranker.ts';
import { systemClock } from '../src/platform/clock.ts';

const POOL = 'bench/pool';
const ROUNDS = 15;

function medianUs(operations: number, operate: (index: number) => void): string {
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const startedMs = performance.now();
    for (let index = 0; index < operations; index += 1) operate(index);
    rounds.push(((performance.now() - startedMs) * 1_000) / operations);
  }
  rounds.sort((a, b) => a - b);
  return (rounds[Math.floor(ROUNDS / 2)] ?? 0).toFixed(2);
}

function callWith(prompt: string): InferenceCall {
  return {
    id: 'bench',
    path: '/v1/chat/completions',
    pool: POOL,
    model: 'm',
    servedModel: 'm',
    adapter: null,
    stream: true,
    body: new Uint8Array(),
    promptText: () => prompt,
    inputTokens: prompt.length / 4,
    maxOutputTokens: 100,
    forwardHeaders: {},
  };
}

function rankerOver(count: number, hash: Awaited<ReturnType<typeof loadXxhash32>>): PoolRanker {
  const endpoints: Endpoint[] = Array.from({ length: count }, (_, index) => ({
    id: `pod-${index}@10.0.0.${index}:8000`,
    pool: POOL,
    url: `http://10.0.0.${index}:8000`,
    target: 't',
    slotsPerEndpoint: 16,
    readyAtEpochMs: 0,
    draining: false,
  }));
  const directory: EndpointDirectory = { list: () => endpoints, onChange: () => () => undefined };
  const compiled = compileProfile(DEFAULT_PROFILE);
  if (!compiled.ok) throw new Error(compiled.problems.join('; '));
  const random = seededRandom(1);
  const ranker = new PoolRanker({ pool: POOL, directory, profile: compiled.profile, hash, clock: systemClock, random });
  for (const [index, { id }] of endpoints.entries()) {
    ranker.observe({
      endpointId: id,
      metrics: {
        runningRequests: index % 16,
        waitingRequests: index % 3,
        kvUsageRatio: (index % 10) / 10,
        runningAdapters: [],
        waitingAdapters: [],
      },
      startedAtEpochMs: 0,
      startedAtMonotonicMs: Number.MAX_SAFE_INTEGER,
    });
  }
  return ranker;
}

const hash = await loadXxhash32();
const shared = 'You are a helpful assistant that answers support tickets. '.repeat(400);
process.stdout.write('rank + started + finished, µs per call (a call is ranked twice: entering and taking)\n');
process.stdout.write('endpoints   prompt 400 B   prompt 4 KB   prompt 16 KB\n');
for (const count of [1, 2, 8, 32, 128]) {
  const cells = [400, 4_096, 16_384].map((length) => {
    const ranker = rankerOver(count, hash);
    const prompts = Array.from({ length: 500 }, (_, index) => shared.slice(0, length - 8) + String(index).padStart(8));
    return medianUs(count > 8 ? 500 : 2_000, (index) => {
      const call = callWith(prompts[index % prompts.length] ?? '');
      const [chosen = ''] = ranker.rank(call);
      ranker.rank(call);
      ranker.started(call, chosen);
      ranker.finished(call, chosen, 'ok');
    }).padStart(13);
  });
  process.stdout.write(`${String(count).padStart(9)} ${cells.join(' ')}\n`);
}

const text = readFileSync(new URL('../tests/fixtures/vllm-metrics.txt', import.meta.url), 'utf8');
const scrapeUs = medianUs(200, () => {
  readEngineMetrics(text);
});
process.stdout.write(`reading one vLLM scrape of ${Math.round(text.length / 1_000)} KB: ${scrapeUs} µs\n`);
