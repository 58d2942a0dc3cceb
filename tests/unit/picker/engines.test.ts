import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { readEngineMetrics } from '../../../src/picker/policy/engines.ts';

const fixture = readFileSync(new URL('../../fixtures/vllm-metrics.txt', import.meta.url), 'utf8');

test('a real vLLM 0.32 after mixed load', () => {
  expect(readEngineMetrics(fixture)).toEqual({
    runningRequests: 0,
    waitingRequests: 0,
    kvUsageRatio: 0,
    blockSizeTokens: 128,
    numBlocks: 16_384,
    maxAdapters: 2,
    runningAdapters: [],
    waitingAdapters: [],
  });
});

test('a busy vLLM: the newest LoRA series is the present, wherever it stands', () => {
  const text = `
vllm:num_requests_running{engine="0",model_name="tiny"} 16.0
vllm:num_requests_waiting{engine="0",model_name="tiny"} 3.0
vllm:kv_cache_usage_perc{engine="0",model_name="tiny"} 0.25
vllm:lora_requests_info{max_lora="2",running_lora_adapters="lora-a,lora-b",waiting_lora_adapters="lora-c"} 1.7953587992390406e+09
vllm:lora_requests_info{max_lora="2",running_lora_adapters="old",waiting_lora_adapters=""} 1.7953587992302594e+09
vllm:cache_config_info{block_size="16",num_gpu_blocks="None"} 1.0
`;
  expect(readEngineMetrics(text)).toEqual({
    runningRequests: 16,
    waitingRequests: 3,
    kvUsageRatio: 0.25,
    blockSizeTokens: 16,
    maxAdapters: 2,
    runningAdapters: ['lora-a', 'lora-b'],
    waitingAdapters: ['lora-c'],
  });
});

test('data-parallel ranks behind one address add up, of KV usage the fullest counts', () => {
  const text = `
vllm:num_requests_running{engine="0"} 4
vllm:num_requests_running{engine="1"} 5
vllm:num_requests_waiting{engine="0"} 1
vllm:num_requests_waiting{engine="1"} NaN
vllm:kv_cache_usage_perc{engine="0"} 0.2
vllm:kv_cache_usage_perc{engine="1"} 0.7
`;
  expect(readEngineMetrics(text)).toMatchObject({ runningRequests: 9, waitingRequests: 1, kvUsageRatio: 0.7 });
});

test.each([
  {
    engine: 'SGLang',
    text: 'sglang:num_running_reqs 2\nsglang:num_queue_reqs 1\nsglang:token_usage 0.5\nsglang:cache_config_info{page_size="64",num_pages="100"} 1',
  },
  {
    engine: 'trtllm-serve',
    text: 'trtllm_num_requests_running 2\ntrtllm_num_requests_waiting 1\ntrtllm_kv_cache_utilization 0.5\ntrtllm_kv_cache_tokens_per_block 64\ntrtllm_kv_cache_max_blocks 100',
  },
  {
    engine: 'Triton with TensorRT-LLM',
    text: `nv_trt_llm_request_metrics{request_type="scheduled"} 2
nv_trt_llm_request_metrics{request_type="waiting"} 1
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction"} 0.5
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="tokens_per"} 64
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="max"} 100`,
  },
])('$engine speaks of the same things', ({ text }) => {
  expect(readEngineMetrics(text)).toEqual({
    runningRequests: 2,
    waitingRequests: 1,
    kvUsageRatio: 0.5,
    blockSizeTokens: 64,
    numBlocks: 100,
    runningAdapters: [],
    waitingAdapters: [],
  });
});

test('what reports no known metric is no engine', () => {
  expect(readEngineMetrics('process_cpu_seconds_total 3')).toBeNull();
});
