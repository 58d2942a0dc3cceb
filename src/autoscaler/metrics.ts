import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** What the autoscaler measures. Labels are bounded: pools, targets, rules and phases are all configured or fixed. */
export function autoscalerMetrics(registry: Registry) {
  const registers = [registry];
  return {
    replicas: new Gauge({
      name: 'pilotlight_autoscaler_replicas',
      help: 'Replicas by warm-up phase.',
      labelNames: ['pool', 'phase'] as const,
      registers,
    }),
    desiredReplicas: new Gauge({
      name: 'pilotlight_autoscaler_desired_replicas',
      help: 'Ready and booting replicas that the last decision asks for.',
      labelNames: ['pool'] as const,
      registers,
    }),
    componentReplicas: new Gauge({
      name: 'pilotlight_autoscaler_component_replicas',
      help: 'Replicas that each rule of the last decision asks for.',
      labelNames: ['pool', 'rule'] as const,
      registers,
    }),
    infeasibleDeadlines: new Gauge({
      name: 'pilotlight_autoscaler_infeasible_deadlines',
      help: 'Objectives whose deadline no replica can meet any more.',
      labelNames: ['pool'] as const,
      registers,
    }),
    decisionsTotal: new Counter({
      name: 'pilotlight_autoscaler_decisions_total',
      help: 'Decisions by the rule that made them.',
      labelNames: ['pool', 'rule'] as const,
      registers,
    }),
    wakesTotal: new Counter({
      name: 'pilotlight_autoscaler_wakes_total',
      help: 'Times a pool at zero was woken, by rule.',
      labelNames: ['pool', 'rule'] as const,
      registers,
    }),
    bootDurationSeconds: new Histogram({
      name: 'pilotlight_autoscaler_boot_duration_seconds',
      help: 'From the order of a replica to Ready.',
      labelNames: ['pool'] as const,
      buckets: [0.5, 1, 2, 5, 10, 20, 30, 60, 120, 180, 300, 600, 1_200, 1_800, 3_600],
      registers,
    }),
    bootFailuresTotal: new Counter({
      name: 'pilotlight_autoscaler_boot_failures_total',
      help: 'Boots that ended Stuck, by what kept them from serving; "unknown" when nothing told.',
      labelNames: ['pool', 'reason'] as const,
      registers,
    }),
    breakerOpen: new Gauge({
      name: 'pilotlight_autoscaler_breaker_open',
      help: '1 while boots of a target are held back after three failures in a row.',
      labelNames: ['pool', 'target'] as const,
      registers,
    }),
    targetAvailable: new Gauge({
      name: 'pilotlight_autoscaler_target_available',
      help: '0 while a target takes no order (up), or gives no replica away (down); its decisions say why.',
      labelNames: ['pool', 'target', 'direction'] as const,
      registers,
    }),
    troubledReplicas: new Gauge({
      name: 'pilotlight_autoscaler_troubled_replicas',
      help: 'Replicas that something keeps from serving, by cause.',
      labelNames: ['pool', 'trouble'] as const,
      registers,
    }),
    ordersOpen: new Gauge({
      name: 'pilotlight_autoscaler_orders_open',
      help: '1 while an order of people is in force: wake, drain, pause.',
      labelNames: ['pool', 'order'] as const,
      registers,
    }),
    saturationRatio: new Gauge({
      name: 'pilotlight_autoscaler_pool_saturation_ratio',
      help: 'Used slots of all open slots of a pool; 1 = saturated, also when no slot is open.',
      labelNames: ['pool'] as const,
      registers,
    }),
    bypassRequests: new Gauge({
      name: 'pilotlight_autoscaler_bypass_requests',
      help: 'Requests that engines ran past Pilotlight when they were last asked before an end.',
      labelNames: ['pool'] as const,
      registers,
    }),
    drainDurationSeconds: new Histogram({
      name: 'pilotlight_autoscaler_drain_duration_seconds',
      help: 'From the drain mark to the order to end.',
      labelNames: ['pool'] as const,
      buckets: [0.1, 0.5, 1, 5, 15, 30, 60, 120, 300, 600, 900],
      registers,
    }),
    drainsForcedTotal: new Counter({
      name: 'pilotlight_autoscaler_drains_forced_total',
      help: 'Replicas that were ended with requests in flight because the drain timeout was over.',
      labelNames: ['pool'] as const,
      registers,
    }),
    wrongVictimsTotal: new Counter({
      name: 'pilotlight_autoscaler_wrong_victims_total',
      help: 'Replicas that a workload removed in place of the one that was chosen.',
      labelNames: ['pool'] as const,
      registers,
    }),
    gpuSecondsTotal: new Counter({
      name: 'pilotlight_autoscaler_gpu_seconds_total',
      help: 'GPU time by use: loading, idle (ready, no request), busy.',
      labelNames: ['pool', 'use'] as const,
      registers,
    }),
    costUsdTotal: new Counter({
      name: 'pilotlight_autoscaler_cost_usd_total',
      help: 'GPU time at the configured prices.',
      labelNames: ['pool'] as const,
      registers,
    }),
    sourceAvailable: new Gauge({
      name: 'pilotlight_autoscaler_source_available',
      help: '1 while the source of a decision answers; 0 = replicas are frozen.',
      labelNames: ['pool', 'source'] as const,
      registers,
    }),
  };
}

export type AutoscalerMetrics = ReturnType<typeof autoscalerMetrics>;

/** Nobody looks at the pool here any more: what was true last is not told on. Counters stay, they only grow. */
export async function forgetGauges(metrics: AutoscalerMetrics, pool: string): Promise<void> {
  for (const metric of Object.values(metrics)) {
    if (!(metric instanceof Gauge)) continue;
    const gauge = metric as Gauge;
    const { values } = await gauge.get();
    for (const { labels } of values) if (labels['pool'] === pool) gauge.remove(labels);
  }
}
