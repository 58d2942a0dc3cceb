import type { EngineMetrics } from '../../core/endpoint.ts';
import { type Sample, scanSamples } from './prometheus-text.ts';

/** A metric, narrowed to the series with these labels. */
interface Selector {
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** Under which names one engine reports what the picker needs. */
interface EngineMapping {
  readonly engine: string;
  readonly running: Selector;
  readonly waiting: Selector;
  /** 0..1 */
  readonly kvUsage: Selector;
  /** A gauge whose value is the time of its last update and whose labels list the adapters. */
  readonly lora?: Selector;
  /** Cache geometry as labels of one info metric, or as the values of two. */
  readonly cacheInfo?: Selector & { readonly blockSizeLabel: string; readonly numBlocksLabel: string };
  readonly blockSize?: Selector;
  readonly numBlocks?: Selector;
}

const TRITON_KV = 'nv_trt_llm_kv_cache_block_metrics';

/** Source: model server protocol of the llm-d router. The first whose `running` metric is present is taken. */
const ENGINES: readonly EngineMapping[] = [
  {
    engine: 'vllm',
    running: { name: 'vllm:num_requests_running' },
    waiting: { name: 'vllm:num_requests_waiting' },
    kvUsage: { name: 'vllm:kv_cache_usage_perc' },
    lora: { name: 'vllm:lora_requests_info' },
    cacheInfo: { name: 'vllm:cache_config_info', blockSizeLabel: 'block_size', numBlocksLabel: 'num_gpu_blocks' },
  },
  {
    engine: 'sglang',
    running: { name: 'sglang:num_running_reqs' },
    waiting: { name: 'sglang:num_queue_reqs' },
    kvUsage: { name: 'sglang:token_usage' },
    cacheInfo: { name: 'sglang:cache_config_info', blockSizeLabel: 'page_size', numBlocksLabel: 'num_pages' },
  },
  {
    engine: 'trtllm-serve',
    running: { name: 'trtllm_num_requests_running' },
    waiting: { name: 'trtllm_num_requests_waiting' },
    kvUsage: { name: 'trtllm_kv_cache_utilization' },
    blockSize: { name: 'trtllm_kv_cache_tokens_per_block' },
    numBlocks: { name: 'trtllm_kv_cache_max_blocks' },
  },
  {
    engine: 'triton-tensorrt-llm',
    running: { name: 'nv_trt_llm_request_metrics', labels: { request_type: 'scheduled' } },
    waiting: { name: 'nv_trt_llm_request_metrics', labels: { request_type: 'waiting' } },
    kvUsage: { name: TRITON_KV, labels: { kv_cache_block_type: 'fraction' } },
    blockSize: { name: TRITON_KV, labels: { kv_cache_block_type: 'tokens_per' } },
    numBlocks: { name: TRITON_KV, labels: { kv_cache_block_type: 'max' } },
  },
];

const WANTED: ReadonlySet<string> = new Set(
  ENGINES.flatMap((engine) =>
    [
      engine.running,
      engine.waiting,
      engine.kvUsage,
      engine.lora,
      engine.cacheInfo,
      engine.blockSize,
      engine.numBlocks,
    ].flatMap((selector) => selector?.name ?? []),
  ),
);

type Samples = ReadonlyMap<string, readonly Sample[]>;

/**
 * What the text of an engine's /metrics says; null when no known engine reports in it. Several series of one metric
 * (data-parallel ranks behind one address) add up: the endpoint carries them all; of KV usage the fullest counts.
 */
export function readEngineMetrics(text: string): EngineMetrics | null {
  const samples = scanSamples(text, WANTED);
  const engine = ENGINES.find(({ running }) => select(samples, running).length > 0);
  if (!engine) return null;
  const kvUsage = finite(select(samples, engine.kvUsage));
  const blockSizeTokens = cacheNumber(samples, engine, 'blockSize', 'blockSizeLabel');
  const numBlocks = cacheNumber(samples, engine, 'numBlocks', 'numBlocksLabel');
  return {
    runningRequests: sum(finite(select(samples, engine.running))),
    waitingRequests: sum(finite(select(samples, engine.waiting))),
    ...(kvUsage.length > 0 ? { kvUsageRatio: Math.min(1, Math.max(0, ...kvUsage)) } : {}),
    ...(blockSizeTokens === null ? {} : { blockSizeTokens }),
    ...(numBlocks === null ? {} : { numBlocks }),
    ...adaptersOf(engine.lora ? select(samples, engine.lora) : []),
  };
}

function select(samples: Samples, { name, labels = {} }: Selector): readonly Sample[] {
  const wanted = Object.entries(labels);
  return (samples.get(name) ?? []).filter((sample) => wanted.every(([key, value]) => sample.labels[key] === value));
}

function finite(samples: readonly Sample[]): readonly number[] {
  return samples.map(({ value }) => value).filter((value) => Number.isFinite(value) && value >= 0);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function cacheNumber(
  samples: Samples,
  engine: EngineMapping,
  metric: 'blockSize' | 'numBlocks',
  label: 'blockSizeLabel' | 'numBlocksLabel',
): number | null {
  const selector = engine[metric];
  const [value] = selector ? finite(select(samples, selector)) : [];
  if (value !== undefined) return value;
  if (!engine.cacheInfo) return null;
  const [info] = select(samples, engine.cacheInfo);
  const parsed = Number(info?.labels[engine.cacheInfo[label]]);
  return Number.isFinite(parsed) && parsed > 0 ? parsed : null;
}

/** vLLM leaves a series for every set of adapters it ever had; the one with the newest value is the present. */
function adaptersOf(
  series: readonly Sample[],
): Pick<EngineMetrics, 'runningAdapters' | 'waitingAdapters'> & { maxAdapters?: number } {
  let newest: Sample | null = null;
  for (const sample of series) {
    if (!newest || sample.value > newest.value) newest = sample;
  }
  const labels = newest?.labels ?? {};
  const maxAdapters = Number(labels['max_lora']);
  return {
    runningAdapters: namesOf(labels['running_lora_adapters']),
    waitingAdapters: namesOf(labels['waiting_lora_adapters']),
    ...(newest && Number.isFinite(maxAdapters) ? { maxAdapters } : {}),
  };
}

function namesOf(list: string | undefined): readonly string[] {
  return (list ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}
