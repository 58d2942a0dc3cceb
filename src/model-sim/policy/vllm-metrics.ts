import { AdapterInfo } from './adapter-info.ts';
import type { Engine } from './engine.ts';
import { Histogram, type Labels, type Metric, type Sample, sampled } from './exposition.ts';
import type { FinishReason, Sequence } from './sequence.ts';

// Bucket bounds as vLLM 0.32 reports them (tests/fixtures/vllm-metrics.txt).
const FIRST_TOKEN_S = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560,
];
const TOKEN_GAP_S = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80];
const REQUEST_S = [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680];
const STEP_TOKENS = [1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384];
const PREEMPTIONS = [1, 2, 3, 4, 5, 10, 20];
/** vLLM ends the token buckets at the model's length. */
const TOKENS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000,
];

const FINISH_REASONS = ['stop', 'length', 'abort', 'error', 'repetition'] as const;

export interface MetricsConfig {
  readonly modelName: string;
  readonly maxModelTokens: number;
  /** 0 = the engine was started without adapters; then there is no adapter metric. */
  readonly maxAdapters: number;
}

/** What the engine did, under vLLM's names and labels. */
export class VllmMetrics {
  readonly #engine: Engine;
  readonly #adapterInfo: AdapterInfo;
  readonly #metrics: readonly Metric[];
  readonly #finished: Record<FinishReason, number> = { stop: 0, length: 0, abort: 0 };
  readonly #histograms: ReturnType<typeof histograms>;

  constructor(engine: Engine, config: MetricsConfig) {
    const labels = { engine: '0', model_name: config.modelName };
    this.#engine = engine;
    this.#adapterInfo = new AdapterInfo(config.maxAdapters);
    this.#histograms = histograms(
      labels,
      TOKENS.filter((bound) => bound <= config.maxModelTokens),
    );
    this.#metrics = [
      ...gauges(engine, labels),
      ...counters(engine, labels),
      sampled('counter', 'vllm:request_success_total', 'Requests that ended, by reason.', () =>
        FINISH_REASONS.map((reason) => ({
          labels: { ...labels, finished_reason: reason },
          value: reason === 'error' || reason === 'repetition' ? 0 : this.#finished[reason],
        })),
      ),
      ...Object.values(this.#histograms),
      ...(config.maxAdapters === 0
        ? []
        : [sampled('gauge', 'vllm:lora_requests_info', 'Adapters in use.', () => this.#adapterInfo.samples())]),
      sampled('gauge', 'vllm:cache_config_info', 'How the KV memory is set up.', () => [cacheConfig(engine)]),
      sampled('gauge', 'pilotlight_model_sim_info', 'Always 1: no model runs here, this is a simulator.', () => [
        { labels: {}, value: 1 },
      ]),
    ];
  }

  stepDone(computedTokens: number): void {
    this.#histograms.stepTokens.observe(computedTokens);
  }

  /** To be called once for each token of `sequence`, when it appears. */
  tokenEmitted(sequence: Sequence): void {
    if (sequence.generatedTokens > 1) this.#histograms.tokenGap.observe(sequence.lastGapMs / 1_000);
    else this.#histograms.firstToken.observe((sequence.firstTokenAtMs - sequence.arrivedAtMs) / 1_000);
  }

  /** To be called once for each sequence that ended by itself or by the server; a client that left is not counted. */
  sequenceFinished(sequence: Sequence, maxTokens: number, choices: number): void {
    this.#finished[sequence.finishReason ?? 'abort'] += 1;
    const h = this.#histograms;
    const { spec, arrivedAtMs, scheduledAtMs, firstTokenAtMs, lastTokenAtMs, finishedAtMs } = sequence;
    h.promptTokens.observe(spec.promptTokens);
    h.generatedTokens.observe(sequence.generatedTokens);
    h.maxGeneratedTokens.observe(sequence.generatedTokens);
    h.choices.observe(choices);
    h.maxTokens.observe(maxTokens);
    h.preemptions.observe(sequence.preemptions);
    h.prefillComputedTokens.observe(spec.promptTokens - sequence.cachedTokens);
    h.endToEnd.observe((finishedAtMs - arrivedAtMs) / 1_000);
    if (scheduledAtMs < 0) return;
    h.queued.observe((scheduledAtMs - arrivedAtMs) / 1_000);
    h.inference.observe(Math.max(0, finishedAtMs - scheduledAtMs) / 1_000);
    if (firstTokenAtMs < 0) return;
    h.prefill.observe(Math.max(0, firstTokenAtMs - scheduledAtMs) / 1_000);
    h.decode.observe((lastTokenAtMs - firstTokenAtMs) / 1_000);
    if (sequence.generatedTokens < 2) return;
    h.timePerToken.observe((lastTokenAtMs - firstTokenAtMs) / 1_000 / (sequence.generatedTokens - 1));
  }

  /** The body of GET /metrics. */
  render(nowEpochMs: number): string {
    this.#adapterInfo.note(this.#engine.adapters('running'), this.#engine.adapters('waiting'), nowEpochMs);
    return this.#metrics.reduce((text, metric) => text + metric.render(), '');
  }
}

function gauges(engine: Engine, labels: Labels): Metric[] {
  const gauge = (name: string, help: string, value: () => number) =>
    sampled('gauge', `vllm:${name}`, help, () => [{ labels, value: value() }]);
  return [
    gauge('num_requests_running', 'Sequences in the batch.', () => engine.runningSequences),
    gauge('num_requests_waiting', 'Sequences that wait for a place in the batch.', () => engine.waitingSequences),
    sampled('gauge', 'vllm:num_requests_waiting_by_reason', 'The same, by reason.', () => [
      { labels: { ...labels, reason: 'capacity' }, value: engine.waitingSequences - engine.deferredSequences },
      { labels: { ...labels, reason: 'deferred' }, value: engine.deferredSequences },
    ]),
    sampled('gauge', 'vllm:engine_sleep_state', 'The simulator never sleeps.', () =>
      ['awake', 'weights_offloaded', 'discard_all'].map((state) => ({
        labels: { ...labels, sleep_state: state },
        value: state === 'awake' ? 1 : 0,
      })),
    ),
    gauge('kv_cache_usage_perc', 'KV blocks in use, 1 = all.', () => engine.kv.usageRatio),
  ];
}

function counters(engine: Engine, labels: Labels): Metric[] {
  const totals = engine.counters;
  const counter = (name: string, help: string, value: () => number) =>
    sampled('counter', `vllm:${name}`, help, () => [{ labels, value: value() }]);
  return [
    counter(
      'prefix_cache_queries_total',
      'Prompt tokens looked up in the prefix cache.',
      () => totals.prefixQueriedTokens,
    ),
    counter('prefix_cache_hits_total', 'Prompt tokens found there.', () => totals.prefixHitTokens),
    counter('num_preemptions_total', 'Times a sequence lost its blocks.', () => totals.preemptions),
    counter('prompt_tokens_total', 'Prompt tokens processed.', () => totals.promptTokens),
    counter('prompt_tokens_cached_total', 'Prompt tokens that came from the cache.', () => totals.promptCachedTokens),
    counter('generation_tokens_total', 'Tokens generated.', () => totals.generatedTokens),
    sampled('counter', 'vllm:admission_rejections_total', 'Requests refused because too many were queued.', () => [
      {
        labels: { model_name: labels.model_name ?? '', reason: 'max_num_queued_reqs' },
        value: totals.rejectedRequests,
      },
      { labels: { model_name: labels.model_name ?? '', reason: 'max_num_queued_tokens' }, value: 0 },
    ]),
  ];
}

function histograms(labels: Labels, tokens: readonly number[]) {
  const histogram = (name: string, help: string, bounds: readonly number[]) =>
    new Histogram(`vllm:${name}`, help, labels, bounds);
  return {
    promptTokens: histogram('request_prompt_tokens', 'Prompt tokens of a request.', tokens),
    generatedTokens: histogram('request_generation_tokens', 'Generated tokens of a request.', tokens),
    stepTokens: histogram('iteration_tokens_total', 'Tokens computed in a step.', STEP_TOKENS),
    maxGeneratedTokens: histogram(
      'request_max_num_generation_tokens',
      'The longest choice of a request, tokens.',
      tokens,
    ),
    choices: histogram('request_params_n', 'Choices asked for.', [1, 2, 5, 10, 20]),
    maxTokens: histogram('request_params_max_tokens', 'Most tokens asked for.', tokens),
    firstToken: histogram('time_to_first_token_seconds', 'Arrival to first token.', FIRST_TOKEN_S),
    tokenGap: histogram('inter_token_latency_seconds', 'Between two tokens of a request.', TOKEN_GAP_S),
    timePerToken: histogram('request_time_per_output_token_seconds', 'Mean gap of a request.', TOKEN_GAP_S),
    endToEnd: histogram('e2e_request_latency_seconds', 'Arrival to last token.', REQUEST_S),
    queued: histogram('request_queue_time_seconds', 'Arrival to first step.', REQUEST_S),
    inference: histogram('request_inference_time_seconds', 'First step to last token.', REQUEST_S),
    prefill: histogram('request_prefill_time_seconds', 'First step to first token.', REQUEST_S),
    decode: histogram('request_decode_time_seconds', 'First token to last token.', REQUEST_S),
    preemptions: histogram('request_num_preemptions', 'Preemptions of a request.', PREEMPTIONS),
    prefillComputedTokens: histogram('request_prefill_kv_computed_tokens', 'Prompt tokens not from the cache.', tokens),
  };
}

/** All labels of the real one, so that a reader that depends on any of them works. */
function cacheConfig({ config }: Engine): Sample {
  const sizeTokens = config.blocks * config.blockSizeTokens;
  return {
    value: 1,
    labels: {
      _block_size_resolved: 'True',
      block_size: String(config.blockSizeTokens),
      cache_dtype: 'auto',
      cache_hit_alignment_tokens: 'None',
      effective_attention_block_size: String(config.blockSizeTokens),
      enable_mamba_shared_prefix_checkpoint: 'False',
      enable_prefix_caching: config.prefixCaching ? 'True' : 'False',
      engine: '0',
      gpu_memory_utilization: '0.92',
      hash_block_size: 'None',
      is_attention_free: 'False',
      kv_cache_dtype_skip_layers: '[]',
      kv_cache_layout: 'None',
      kv_cache_max_concurrency: 'None',
      kv_cache_memory_bytes: 'None',
      kv_cache_size_tokens: String(sizeTokens),
      kv_offloading_backend: 'native',
      kv_offloading_size: 'None',
      kv_sharing_fast_prefill: 'False',
      mamba_block_size: 'None',
      mamba_cache_dtype: 'auto',
      mamba_cache_mode: 'none',
      mamba_page_size_padded: 'None',
      mamba_ssm_cache_dtype: 'float32',
      num_cpu_blocks: 'None',
      num_gpu_blocks: String(config.blocks),
      num_gpu_blocks_override: 'None',
      prefix_cache_retention_interval: '0',
      prefix_caching_hash_algo: 'fnv',
      prefix_match_unit: 'None',
      replayssm_buffer_len: '16',
      skip_page_size_padded: 'None',
      sliding_window: 'None',
      swa_bounded_replay: 'True',
      use_kda_recoverssm: 'False',
      use_replayssm: 'False',
      user_specified_block_size: 'False',
    },
  };
}
