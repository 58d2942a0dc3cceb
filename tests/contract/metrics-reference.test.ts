import { readFile, writeFile } from 'node:fs/promises';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { autoscalerMetrics } from '../../src/autoscaler/metrics.ts';
import { batchMetrics } from '../../src/batch/metrics.ts';
import { dispatcherMetrics } from '../../src/dispatcher/metrics.ts';
import { HeldBudget } from '../../src/ingress/held-budget.ts';
import { ingressMetrics, tokenMetrics } from '../../src/ingress/metrics.ts';
import { DEFAULT_INGRESS_SETTINGS } from '../../src/ingress/settings.ts';
import { pickerMetrics } from '../../src/picker/metrics.ts';
import { storedJobMetrics } from '../../src/queue/jobs/metrics.ts';
import { redisMetrics } from '../../src/platform/redis/metrics.ts';
import { liveOrderMetrics } from '../../src/queue/live-order/metrics.ts';
import { quotaMetrics } from '../../src/queue/quotas/metrics.ts';
import { sqsMetrics } from '../../src/sqs/metrics.ts';
import { webhookMetrics } from '../../src/webhooks/metrics.ts';

const PAGE = new URL('../../docs/metrics.md', import.meta.url);
const INTRO = `# Metrics

Served at \`/metrics\` on the admin listener, beside the usual process and Node.js metrics. Labels are bounded: pools and
objectives are configured names, everything else comes from closed lists. This table is made from the code:
\`PILOTLIGHT_TEST_WRITE=1 npx vitest run --project integration tests/contract/metrics-reference\`.

| metric | type | labels | what |
| --- | --- | --- | --- |
`;

/** Names of dashboards that exist already; everything else is ours. */
const BORROWED = /^inference_(pool|extension)_/;
const OURS =
  /^pilotlight_(flow|ingress|queue|dispatcher|picker|autoscaler|webhooks|batch|sqs|redis|tenant)_[a-z0-9_]+$/;
const UNIT =
  /_(total|seconds|bytes|ratio|requests|replicas|slots|calls|calls_limit|open|available|reachable|deadlines|endpoints|held|paused)$/;

function everyMetric(): { name: string; type: string; help: string; labelNames: readonly string[] }[] {
  const registry = new Registry();
  ingressMetrics(registry, new HeldBudget(DEFAULT_INGRESS_SETTINGS));
  tokenMetrics(registry);
  liveOrderMetrics(registry, () => []);
  storedJobMetrics(registry, { pendingBytes: 0 });
  quotaMetrics(registry);
  dispatcherMetrics(registry);
  redisMetrics(registry, { nodes: [] } as never);
  pickerMetrics(registry);
  autoscalerMetrics(registry);
  webhookMetrics(registry);
  batchMetrics(registry);
  sqsMetrics(registry);
  // prom-client keeps type and labels on the metric, but types neither.
  return registry.getMetricsAsArray().map((metric) => {
    const { name, help, labelNames = [] } = metric as unknown as { name: string; help: string; labelNames?: string[] };
    return { name, help, labelNames, type: metric.constructor.name.toLowerCase() };
  });
}

test('every metric says what it is and carries its unit in its name', () => {
  for (const { name, help, type } of everyMetric()) {
    expect(help, name).toMatch(/^[A-Z0-9].*\.$/s);
    if (BORROWED.test(name)) continue;
    expect(name).toMatch(OURS);
    expect(name).toMatch(UNIT);
    expect(name.endsWith('_total'), name).toBe(type === 'counter');
  }
});

test('docs/metrics.md lists every metric, and no other', async () => {
  const rows = everyMetric()
    .map(
      ({ name, type, labelNames, help }) => `| \`${name}\` | ${type} | ${labelNames.join(', ') || '–'} | ${help} |\n`,
    )
    .sort();
  const page = INTRO + rows.join('');
  if (process.env.PILOTLIGHT_TEST_WRITE) await writeFile(PAGE, page);
  expect(await readFile(PAGE, 'utf8')).toBe(page);
});
