import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { BatchMeter } from './lifecycle/batch-meter.ts';

/** From seconds to the week that the longest usual window has. */
const END_TO_END_BUCKETS_S = [10, 60, 300, 900, 3_600, 4 * 3_600, 8 * 3_600, 24 * 3_600, 72 * 3_600, 168 * 3_600];
const FILE_BUCKETS_S = [0.05, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 900];

/** The meter of batches on a registry. Labels come from closed lists. */
export function batchMetrics(registry: Registry): BatchMeter {
  const counter = <L extends string>(name: string, labelNames: readonly L[], help: string) =>
    new Counter({ name, labelNames: [...labelNames], help, registers: [registry] });
  const histogram = <L extends string>(name: string, labelNames: readonly L[], help: string, buckets: number[]) =>
    new Histogram({ name, labelNames: [...labelNames], help, buckets, registers: [registry] });
  const kept = new Gauge({
    name: 'pilotlight_batch_held',
    labelNames: ['status'],
    help: 'Batches that this process keeps, by status; the sum over all gateways is all that have not ended.',
    registers: [registry],
  });
  const created = counter('pilotlight_batch_created_total', [], 'Batches that were created here.');
  const ended = counter('pilotlight_batch_ended_total', ['status'], 'Batches that this process brought to their end.');
  const rows = counter('pilotlight_batch_rows_total', ['outcome'], 'Rows of ended batches: completed, or failed.');
  const endToEnd = histogram(
    'pilotlight_batch_duration_seconds',
    ['status'],
    'From the creation of a batch to its end.',
    END_TO_END_BUCKETS_S,
  );
  const validation = histogram(
    'pilotlight_batch_validation_seconds',
    ['result'],
    'Validation of an input file, its wait for a free place included.',
    FILE_BUCKETS_S,
  );
  const finalise = histogram(
    'pilotlight_batch_finalise_seconds',
    [],
    'Assembling output and error file, the wait for a free place included.',
    FILE_BUCKETS_S,
  );
  const paused = counter(
    'pilotlight_batch_paused_total',
    ['reason'],
    'Batches that were paused: by people (paused), or because their rows all failed alike (failing).',
  );
  const short = counter(
    'pilotlight_batch_short_total',
    [],
    'Files that would not have had every row exactly once, and were not published. Anything but 0 needs a look at the log.',
  );
  const takenOver = counter('pilotlight_batch_taken_over_total', [], 'Batches taken over from a keeper that died.');
  const repaired = counter(
    'pilotlight_batch_reconcile_repairs_total',
    [],
    'Batches of the store that the index in Redis did not know as they are.',
  );
  const reconcileSeconds = histogram(
    'pilotlight_batch_reconcile_seconds',
    [],
    'Comparing the index in Redis with the journals of the store.',
    FILE_BUCKETS_S,
  );
  return {
    kept: (before, after) => {
      if (before !== null) kept.dec({ status: before });
      if (after !== null) kept.inc({ status: after });
    },
    created: () => created.inc(),
    ended: (status, counts, durationMs) => {
      ended.inc({ status });
      rows.inc({ outcome: 'completed' }, counts.completed);
      rows.inc({ outcome: 'failed' }, counts.failed);
      endToEnd.observe({ status }, durationMs / 1_000);
    },
    paused: (reason) => paused.inc({ reason }),
    validated: (result, durationMs) => validation.observe({ result }, durationMs / 1_000),
    finalised: (durationMs) => finalise.observe(durationMs / 1_000),
    short: () => short.inc(),
    takenOver: () => takenOver.inc(),
    reconciled: (count, durationMs) => {
      repaired.inc(count);
      reconcileSeconds.observe(durationMs / 1_000);
    },
  };
}
