import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { JobMeter } from './job-meter.ts';

const RECONCILE_BUCKETS_S = [0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300];

/** The part of the file store that shows how near its limit is. */
export interface PendingBytes {
  readonly pendingBytes: number;
}

/** The meter of stored jobs on a registry. Labels are bounded: pool is a configured name, the others closed lists. */
export function storedJobMetrics(registry: Registry, store: PendingBytes): JobMeter {
  const counter = <L extends string>(name: string, labelNames: readonly L[], help: string) =>
    new Counter({ name, labelNames: [...labelNames], help, registers: [registry] });
  const submitted = counter(
    'pilotlight_queue_jobs_submitted_total',
    ['pool', 'result'],
    'Jobs that were submitted, by result: accepted, or the error code.',
  );
  const ended = counter(
    'pilotlight_queue_jobs_ended_total',
    ['pool', 'outcome'],
    'Jobs that this process gave their outcome.',
  );
  const handedBack = counter(
    'pilotlight_queue_jobs_handed_back_total',
    ['pool', 'reason'],
    'Claimed jobs that went back to the backlog without an outcome, by reason.',
  );
  const recovered = counter(
    'pilotlight_queue_jobs_recovered_total',
    ['pool'],
    'Jobs taken back from processes that died or lost their lock.',
  );
  const announced = counter(
    'pilotlight_queue_announcements_total',
    ['pool', 'result'],
    'Ends of jobs told to those who asked for it: webhook, sqs, failed (tried again), or dropped (the job is no longer kept).',
  );
  const held = new Gauge({
    name: 'pilotlight_queue_jobs_held',
    labelNames: ['pool'],
    help: 'Jobs that this process has claimed from the backlog and not ended yet.',
    registers: [registry],
  });
  new Gauge({
    name: 'pilotlight_queue_store_pending_bytes',
    help: 'Bytes that wait for their sync in the file store.',
    registers: [registry],
    collect() {
      this.set(store.pendingBytes);
    },
  });
  const reconcileSeconds = new Histogram({
    name: 'pilotlight_queue_reconcile_seconds',
    help: 'Bringing ledger, index and backlog in line with the file store.',
    buckets: RECONCILE_BUCKETS_S,
    registers: [registry],
  });
  const repaired = counter(
    'pilotlight_queue_reconcile_repairs_total',
    ['what'],
    'What reconcile repaired: outcomes told to the ledger (settled), jobs put back into the backlog (restored).',
  );
  return {
    submitted: (pool, result) => submitted.inc({ pool, result }),
    ended: (pool, outcome) => ended.inc({ pool, outcome }),
    handedBack: (pool, reason) => handedBack.inc({ pool, reason }),
    recovered: (pool, jobs) => recovered.inc({ pool }, jobs),
    held: (pool, jobs) => held.set({ pool }, jobs),
    announced: (pool, result) => announced.inc({ pool, result }),
    reconciled: (report, durationMs) => {
      reconcileSeconds.observe(durationMs / 1_000);
      repaired.inc({ what: 'settled' }, report.settled);
      repaired.inc({ what: 'restored' }, report.restored);
    },
  };
}
