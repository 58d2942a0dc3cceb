import { KvCache } from './kv-cache.ts';
import {
  type FinishReason,
  isComplete,
  isDecoding,
  noteToken,
  type Sequence,
  type SequenceSpec,
  uncomputedTokens,
  waitingSequence,
} from './sequence.ts';
import { stepDurationMs, type TimeModel } from './time-model.ts';

export interface EngineConfig {
  readonly maxSequences: number;
  /** Tokens computed in one step, prompts in chunks included. */
  readonly maxBatchedTokens: number;
  /** Waiting and running together, as vLLM's --max-num-queued-reqs counts; 0 = no limit. */
  readonly maxQueuedRequests: number;
  /** Distinct adapters in one batch. */
  readonly maxAdapters: number;
  readonly blockSizeTokens: number;
  readonly blocks: number;
  readonly prefixCaching: boolean;
  readonly time: TimeModel;
}

/** Totals since the start; they only grow. */
export interface EngineCounters {
  prefixQueriedTokens: number;
  prefixHitTokens: number;
  promptTokens: number;
  promptCachedTokens: number;
  generatedTokens: number;
  preemptions: number;
  rejectedRequests: number;
  steps: number;
}

/** What one step brought. The arrays are valid until the next step. */
export interface StepReport {
  /** Sequences with a new token. */
  readonly emitted: readonly Sequence[];
  readonly finished: readonly Sequence[];
  readonly computedTokens: number;
}

/**
 * One engine with continuous batching: first every running sequence gets its tokens, then waiting ones join in order of
 * arrival while places, tokens of the step and blocks last. When a running sequence finds no block, the one that
 * joined last gives all of its back and waits at the front, to be computed again. Time is what the caller says it is:
 * `beginStep` answers when the step ends, `completeStep` ends it.
 *
 * The caller guarantees that each sequence alone fits the blocks, so some sequence always gets on.
 */
export class Engine {
  readonly config: EngineConfig;
  readonly kv: KvCache;
  readonly counters: EngineCounters = {
    prefixQueriedTokens: 0,
    prefixHitTokens: 0,
    promptTokens: 0,
    promptCachedTokens: 0,
    generatedTokens: 0,
    preemptions: 0,
    rejectedRequests: 0,
    steps: 0,
  };
  slowFactor = 1;
  /** Waiting sequences passed over in the last step because too many adapters run. */
  deferredSequences = 0;
  /** In order of joining the batch. */
  #running: Sequence[] = [];
  readonly #waiting = new Set<Sequence>();
  /** The last preempted is the next to run. */
  readonly #preempted: Sequence[] = [];
  #batch: Sequence[] = [];

  constructor(config: EngineConfig) {
    this.config = config;
    this.kv = new KvCache(config.blocks);
  }

  get runningSequences(): number {
    return this.#running.length;
  }

  get waitingSequences(): number {
    return this.#waiting.size + this.#preempted.length;
  }

  /** Adapter names, sorted. */
  adapters(state: 'running' | 'waiting'): string[] {
    const sequences = state === 'running' ? this.#running : [...this.#preempted, ...this.#waiting];
    return [...new Set(sequences.flatMap(({ spec }) => spec.adapter ?? []))].sort();
  }

  /** Takes all of `specs` into the queue, or none: null when so many are not allowed in. */
  submit(specs: readonly SequenceSpec[], nowMs: number): Sequence[] | null {
    const limit = this.config.maxQueuedRequests;
    if (limit > 0 && this.runningSequences + this.waitingSequences + specs.length > limit) {
      this.counters.rejectedRequests += 1;
      return null;
    }
    return specs.map((spec) => {
      const sequence = waitingSequence(spec, nowMs);
      this.#waiting.add(sequence);
      return sequence;
    });
  }

  /** Ends the sequence where it stands and frees its blocks. Does nothing if it is finished. */
  abort(sequence: Sequence, nowMs: number): void {
    if (sequence.state === 'finished') return;
    if (sequence.state === 'running') this.#running = this.#running.filter((other) => other !== sequence);
    else this.#leaveQueue(sequence);
    this.#finish(sequence, 'abort', nowMs);
  }

  /** Plans the next step. Returns when it ends; null when nobody waits or runs. */
  beginStep(nowMs: number): number | null {
    this.#batch = [];
    const preemptedBefore = this.counters.preemptions;
    let tokensLeft = this.#scheduleRunning(this.config.maxBatchedTokens);
    if (this.counters.preemptions === preemptedBefore) tokensLeft = this.#admit(tokensLeft, nowMs);
    if (this.#batch.length === 0) return null;
    const decodeSequences = this.#batch.reduce((count, sequence) => count + (isDecoding(sequence) ? 1 : 0), 0);
    const prefillTokens = this.config.maxBatchedTokens - tokensLeft - decodeSequences;
    return nowMs + stepDurationMs(this.config.time, { prefillTokens, decodeSequences }, this.slowFactor);
  }

  /** Ends the step that `beginStep` planned: tokens appear at `nowMs`, complete sequences leave. */
  completeStep(nowMs: number): StepReport {
    const emitted: Sequence[] = [];
    const finished: Sequence[] = [];
    let computedTokens = 0;
    for (const sequence of this.#batch) {
      if (sequence.state !== 'running') continue; // aborted meanwhile
      computedTokens += sequence.stepTokens;
      this.#compute(sequence);
      if (uncomputedTokens(sequence) > 0) continue;
      if (sequence.spec.outputTokens > 0) {
        this.#generate(sequence, nowMs);
        emitted.push(sequence);
      } else this.#countPrompt(sequence);
      if (isComplete(sequence)) finished.push(sequence);
    }
    this.#batch = [];
    this.counters.steps += 1;
    for (const sequence of finished) this.#finish(sequence, sequence.spec.endsBy, nowMs);
    if (finished.length > 0) this.#running = this.#running.filter(({ state }) => state === 'running');
    return { emitted, finished, computedTokens };
  }

  #scheduleRunning(maxTokens: number): number {
    let tokensLeft = maxTokens;
    for (let at = 0; at < this.#running.length && tokensLeft > 0; at += 1) {
      const sequence = this.#running[at];
      if (sequence === undefined) break;
      const tokens = Math.min(tokensLeft, uncomputedTokens(sequence));
      if (!this.#makeRoom(sequence, sequence.computedTokens + tokens)) break;
      this.#plan(sequence, tokens);
      tokensLeft -= tokens;
    }
    return tokensLeft;
  }

  /** Preempts from the back until `sequence` has room for so many tokens. False if it had to go itself. */
  #makeRoom(sequence: Sequence, tokens: number): boolean {
    while (!this.#grow(sequence, tokens)) {
      const victim = this.#running.pop();
      if (victim === undefined) return false;
      this.#preempt(victim);
      if (victim === sequence) return false;
    }
    return true;
  }

  #admit(maxTokens: number, nowMs: number): number {
    let tokensLeft = maxTokens;
    this.deferredSequences = 0;
    if (this.waitingSequences === 0) return tokensLeft;
    const running = new Set(this.adapters('running'));
    for (const sequence of this.#inOrder()) {
      if (tokensLeft === 0 || this.#running.length >= this.config.maxSequences) break;
      const { adapter } = sequence.spec;
      if (adapter !== null && !running.has(adapter) && running.size >= this.config.maxAdapters) {
        this.deferredSequences += 1;
        continue;
      }
      const tokens = this.#start(sequence, tokensLeft, nowMs);
      if (tokens === 0) break;
      if (adapter !== null) running.add(adapter);
      tokensLeft -= tokens;
    }
    return tokensLeft;
  }

  *#inOrder(): Generator<Sequence> {
    for (const sequence of this.#preempted.toReversed()) yield sequence;
    yield* this.#waiting;
  }

  #leaveQueue(sequence: Sequence): void {
    if (!this.#waiting.delete(sequence)) this.#preempted.splice(this.#preempted.indexOf(sequence), 1);
  }

  /** Puts a waiting sequence into the batch. Returns the tokens it took; 0 when its blocks are not free. */
  #start(sequence: Sequence, maxTokens: number, nowMs: number): number {
    const { spec } = sequence;
    // At least one token is computed, else nothing could be sampled.
    const reusableBlocks = this.config.prefixCaching
      ? Math.floor((spec.promptTokens - 1) / this.config.blockSizeTokens)
      : 0;
    sequence.kv = this.kv.open(spec.blockHashes, reusableBlocks);
    const cachedTokens = sequence.kv.sharedBlocks * this.config.blockSizeTokens;
    sequence.computedTokens = cachedTokens;
    const tokens = Math.min(maxTokens, uncomputedTokens(sequence));
    if (!this.#grow(sequence, cachedTokens + tokens)) {
      this.#release(sequence);
      return 0;
    }
    this.#leaveQueue(sequence);
    if (sequence.scheduledAtMs < 0) {
      sequence.scheduledAtMs = Math.max(nowMs, sequence.arrivedAtMs);
      sequence.cachedTokens = cachedTokens;
      this.counters.prefixQueriedTokens += this.config.prefixCaching ? spec.promptTokens : 0;
      this.counters.prefixHitTokens += cachedTokens;
    }
    sequence.state = 'running';
    this.#running.push(sequence);
    this.#plan(sequence, tokens);
    return tokens;
  }

  #plan(sequence: Sequence, tokens: number): void {
    sequence.stepTokens = tokens;
    this.#batch.push(sequence);
  }

  #grow(sequence: Sequence, tokens: number): boolean {
    return sequence.kv !== null && this.kv.grow(sequence.kv, Math.ceil(tokens / this.config.blockSizeTokens));
  }

  #compute(sequence: Sequence): void {
    sequence.computedTokens += sequence.stepTokens;
    if (!this.config.prefixCaching || sequence.kv === null) return;
    this.kv.publish(sequence.kv, Math.floor(sequence.computedTokens / this.config.blockSizeTokens));
  }

  #generate(sequence: Sequence, nowMs: number): void {
    if (sequence.generatedTokens === 0) this.#countPrompt(sequence);
    noteToken(sequence, nowMs);
    this.counters.generatedTokens += 1;
  }

  #countPrompt(sequence: Sequence): void {
    this.counters.promptTokens += sequence.spec.promptTokens;
    this.counters.promptCachedTokens += sequence.cachedTokens;
  }

  #preempt(sequence: Sequence): void {
    this.#release(sequence);
    sequence.state = 'waiting';
    sequence.preemptions += 1;
    this.counters.preemptions += 1;
    this.#preempted.push(sequence);
  }

  #release(sequence: Sequence): void {
    if (sequence.kv !== null) this.kv.close(sequence.kv);
    sequence.kv = null;
    sequence.computedTokens = 0;
  }

  #finish(sequence: Sequence, reason: FinishReason, nowMs: number): void {
    this.#release(sequence);
    sequence.state = 'finished';
    sequence.finishReason = reason;
    sequence.finishedAtMs = nowMs;
  }
}
