import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { SourceMeter } from './ports.ts';

const AGE_BUCKETS_S = [0.1, 0.5, 1, 5, 30, 120, 600, 3_600, 21_600, 86_400];

/** The meter of each source on a registry, by the source's name. */
export function sqsMetrics(registry: Registry): (source: string) => SourceMeter {
  const registers = [registry];
  const messages = new Counter({
    name: 'pilotlight_sqs_messages_total',
    help: 'Messages by what became of them: accepted, repeated (it was a job already), refused (it can never run), or handed_back (seen again later).',
    labelNames: ['source', 'result'],
    registers,
  });
  const ages = new Histogram({
    name: 'pilotlight_sqs_accept_age_seconds',
    help: 'From the sending of a message to its job.',
    labelNames: ['source'],
    buckets: AGE_BUCKETS_S,
    registers,
  });
  const held = new Gauge({
    name: 'pilotlight_sqs_messages_held',
    help: 'Messages that this process keeps from others while it takes them over, or while their FIFO group waits for them.',
    labelNames: ['source'],
    registers,
  });
  const results = new Counter({
    name: 'pilotlight_sqs_results_total',
    help: 'Results for queues: sent, pointer (it lies in a bucket), too_large (an error was sent instead), or failed (tried again).',
    labelNames: ['source', 'result'],
    registers,
  });
  const heartbeats = new Counter({
    name: 'pilotlight_sqs_heartbeat_failures_total',
    help: 'Renewals of visibility that failed; the message may be delivered a second time, which is noticed.',
    labelNames: ['source'],
    registers,
  });
  return (source) => ({
    message: (result) => messages.inc({ source, result }),
    accepted: (ageMs) => ages.observe({ source }, Math.max(0, ageMs) / 1_000),
    held: (count) => held.set({ source }, count),
    result: (result) => results.inc({ source, result }),
    heartbeatFailed: (count) => heartbeats.inc({ source }, count),
  });
}
