import type { Registry } from 'prom-client';
import { BoardPublisher, type BoardSource } from '../../autoscaler/adapters/board/board-publisher.ts';
import { learnedStateRedis } from '../../autoscaler/adapters/board/learned-state-redis.ts';
import { KubernetesTarget } from '../../autoscaler/adapters/kubernetes-target/kubernetes-target.ts';
import { Autoscaler } from '../../autoscaler/autoscaler.ts';
import { autoscalerMetrics } from '../../autoscaler/metrics.ts';
import type { OtherScaler } from '../../autoscaler/policy/kube/other-scalers.ts';
import type { KubeEvent } from '../../autoscaler/policy/kube/pod-events.ts';
import type { SlotLedger } from '../../core/live-order.ts';
import type { PoolKey } from '../../core/objects.ts';
import { UndiciModelServer } from '../../dispatcher/adapters/undici-model-server.ts';
import { systemClock } from '../../platform/clock.ts';
import { eventRecorder } from '../../platform/kubernetes/events.ts';
import { electLeader } from '../../platform/kubernetes/leader.ts';
import { systemRandom } from '../../platform/random.ts';
import { engineActivity } from '../engine-activity.ts';
import type { ClusterProcess } from './process.ts';
import { RESOURCES } from './resources.ts';
import { openStatusWriter } from './status-writer.ts';
import { Terms } from './terms.ts';

const PROBE_TIMEOUT_MS = 1_000;

export interface Controller {
  /** Stands for election, and scales while it leads. */
  start(): void;
}

/** What scales the pools of an installation while this process leads. Starts nothing but reading. */
export function openController(
  cluster: ClusterProcess,
  registry: Registry,
  ledgerOf: (pool: PoolKey) => SlotLedger,
): Controller {
  const { options, link, catalog, pods } = cluster;
  const { config, redis, log, closers, orders } = options;
  const place = { keyPrefix: redis.keyPrefix, installation: config.installation };
  const metrics = autoscalerMetrics(registry);
  const events = link.follow<KubeEvent>(RESOURCES.events);
  const otherScalers = {
    HorizontalPodAutoscaler: link.follow<OtherScaler>(RESOURCES.horizontalPodAutoscalers),
    ScaledObject: link.follow<OtherScaler>(RESOURCES.scaledObjects),
  };
  const engines = engineActivity(closers);
  const modelServer = new UndiciModelServer({ connectTimeoutMs: config.timeouts.connectMs });
  closers.add('probes of model servers', () => modelServer.close());
  return {
    start() {
      const leadership = electLeader({
        api: link.api,
        namespace: link.api.namespace,
        name: `pilotlight-${config.installation}`,
        identity: link.identity,
        clock: systemClock,
        random: systemRandom,
        log,
        metrics: link.metrics,
      });
      closers.add('Lease', () => leadership.release());
      const target = new KubernetesTarget({
        api: link.api,
        pods,
        catalog,
        clock: systemClock,
        log,
        leadership,
        installation: config.installation,
        metrics,
        events,
        otherScalers,
        probe: (url) => modelServer.probe(url, PROBE_TIMEOUT_MS),
      });
      closers.add('scale target', () => target.close());
      const learned = learnedStateRedis({ client: redis.command, place, leadership });
      const deps = { clock: systemClock, log, catalog, ledgerOf, target, learned, metrics, orders, engines };
      const terms: Terms = new Terms({
        leadership,
        clock: systemClock,
        log,
        open() {
          const autoscaler = new Autoscaler(deps);
          autoscaler.onChange((pool) => {
            board.touch(pool);
            const spec = catalog.current().pools.get(pool);
            if (spec?.policyName == null) return;
            writer.touch({ namespace: spec.namespace, name: spec.policyName });
          });
          return autoscaler;
        },
      });
      const recorder = eventRecorder({
        api: link.api,
        component: 'pilotlight-controller',
        identity: link.identity,
        clock: systemClock,
        random: systemRandom,
        log,
        metrics: link.metrics,
      });
      closers.add('Events', () => recorder.close());
      const board = new BoardPublisher({
        client: redis.command,
        place,
        clock: systemClock,
        log,
        leadership,
        source: boardSource(terms),
        pools: () => catalog.current().pools.keys(),
      });
      const writer = openStatusWriter(cluster, {
        leadership,
        terms,
        events: { emit: ({ object, ...note }) => recorder.record(object, note) },
      });
      board.start();
      cluster.rights.start(() => writer.touch());
      closers.add('check of rights', () => cluster.rights.stop());
      closers.add(
        'news for statuses',
        catalog.onChange(() => writer.touch()),
      );
      writer.start();
      closers.add('board publisher', () => board.stop());
      closers.add('status writer', () => writer.stop());
      closers.add('term', () => terms.close());
    },
  };
}

function boardSource(terms: Terms): BoardSource {
  return {
    view: (pool) => terms.current?.view(pool),
    decisions: (pool) => terms.current?.decisions(pool) ?? [],
  };
}
