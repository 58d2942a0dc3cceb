import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Histogram, sampled } from '../../../src/model-sim/policy/exposition.ts';
import { VllmMetrics } from '../../../src/model-sim/policy/vllm-metrics.ts';
import { engineWith, submitOne } from './drive.ts';

const REAL = readFileSync(new URL('../../fixtures/vllm-metrics.txt', import.meta.url), 'utf8');

/** Sample name → its label names, sorted; and metric name → its type. */
function shape(text: string) {
  const labels = new Map<string, string>();
  const types = new Map<string, string>();
  for (const line of text.split('\n')) {
    const type = /^# TYPE (\S+) (\S+)/.exec(line);
    if (type) types.set(type[1]!, type[2]!);
    const sample = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? \S+$/.exec(line);
    if (sample)
      labels.set(
        sample[1]!,
        [...(sample[2] ?? '').matchAll(/(\w+)="/g)]
          .map((match) => match[1]!)
          .sort()
          .join(),
      );
  }
  return { labels, types };
}

function metricsAfterWork(maxAdapters = 2): string {
  const engine = engineWith({ maxAdapters });
  const metrics = new VllmMetrics(engine, { modelName: 'tiny', maxModelTokens: 2_048, maxAdapters });
  const sequence = submitOne(engine, { promptTokens: 8, outputTokens: 3, endsBy: 'length' });
  for (let nowMs = engine.beginStep(0); nowMs !== null; nowMs = engine.beginStep(nowMs)) {
    const report = engine.completeStep(nowMs);
    metrics.stepDone(report.computedTokens);
    report.emitted.forEach((emitted) => metrics.tokenEmitted(emitted));
  }
  metrics.sequenceFinished(sequence, 3, 1);
  return metrics.render(1_700_000_000_000);
}

test('every vllm: metric has a name, type and labels that a real vLLM has', () => {
  const real = shape(REAL);
  const ours = shape(metricsAfterWork());
  const vllm = [...ours.labels].filter(([name]) => name.startsWith('vllm:'));
  expect(vllm.length).toBeGreaterThan(50);
  for (const [name, labelNames] of vllm) expect([name, labelNames]).toEqual([name, real.labels.get(name)]);
  for (const [name, type] of ours.types)
    if (name.startsWith('vllm:')) expect([name, type]).toEqual([name, real.types.get(name)]);
});

test('buckets are those of a real vLLM, except of token counts, which end with the model', () => {
  const bounds = (text: string, name: string) =>
    [...text.matchAll(new RegExp(`^vllm:${name}_bucket\\{.*le="([^"]+)"`, 'gm'))].map((match) => match[1]);
  const ours = metricsAfterWork();
  for (const name of [
    'time_to_first_token_seconds',
    'inter_token_latency_seconds',
    'e2e_request_latency_seconds',
    'iteration_tokens_total',
    'request_params_n',
    'request_num_preemptions',
  ]) {
    expect([name, bounds(ours, name)]).toEqual([name, bounds(REAL, name)]);
  }
});

test('what the engine did can be read from them', () => {
  const text = metricsAfterWork();
  for (const line of [
    'vllm:prompt_tokens_total{engine="0",model_name="tiny"} 8.0',
    'vllm:generation_tokens_total{engine="0",model_name="tiny"} 3.0',
    'vllm:request_success_total{engine="0",finished_reason="length",model_name="tiny"} 1.0',
    'vllm:time_to_first_token_seconds_sum{engine="0",model_name="tiny"} 0.018',
    'vllm:inter_token_latency_seconds_count{engine="0",model_name="tiny"} 2.0',
    'vllm:e2e_request_latency_seconds_bucket{engine="0",le="0.3",model_name="tiny"} 1.0',
    'vllm:num_requests_running{engine="0",model_name="tiny"} 0.0',
    'pilotlight_model_sim_info 1.0',
  ]) {
    expect(text).toContain(`${line}\n`);
  }
});

test('a server without adapters has no adapter metric', () => {
  expect(metricsAfterWork(0)).not.toContain('lora_requests_info');
});

test('buckets are cumulative and a value on a bound belongs below it', () => {
  const histogram = new Histogram('h', 'help', {}, [1, 2]);
  for (const value of [0.5, 1, 2, 9]) histogram.observe(value);
  histogram.observe(1.5, 10);
  expect(histogram.render().split('\n').slice(2, 7)).toEqual([
    'h_bucket{le="1.0"} 2.0',
    'h_bucket{le="2.0"} 13.0',
    'h_bucket{le="+Inf"} 14.0',
    'h_count 14.0',
    'h_sum 27.5',
  ]);
});

test('label values are escaped', () => {
  const metric = sampled('gauge', 'g', 'help', () => [{ labels: { path: 'a"b\\c\nd' }, value: 1 }]);
  expect(metric.render()).toContain('g{path="a\\"b\\\\c\\nd"} 1.0');
});
