import type { Clock } from '../core/clock.ts';
import type { EndpointDirectory } from '../core/endpoint.ts';
import type { Logger } from '../core/logger.ts';
import type { PoolKey } from '../core/objects.ts';
import type { Random } from '../core/random.ts';
import type { DispatcherMetrics } from '../dispatcher/metrics.ts';
import { RedisPublishRight } from '../dispatcher/adapters/redis-publish-right.ts';
import type { EndpointKnowledge, ModelServer, PoolRuntime } from '../dispatcher/ports.ts';
import { SlotsLoop } from '../dispatcher/slots-loop.ts';
import type { PickerMetrics } from '../picker/metrics.ts';
import { MetricsPoller } from '../picker/metrics-poller.ts';
import { DEFAULT_POLL_INTERVALS } from '../picker/policy/poll-plan.ts';
import type { Profile } from '../picker/policy/profile.ts';
import { PoolRanker } from '../picker/pool-ranker.ts';
import type { MetricsSource, TextHash } from '../picker/ports.ts';
import { RedisDeadLetters } from '../queue/adapters/job-index/redis-dead-letters.ts';
import { BullmqBacklog } from '../queue/adapters/bullmq/bullmq-backlog.ts';
import { RedisTagBook } from '../queue/adapters/bullmq/redis-tag-book.ts';
import { formerOrders } from '../queue/adapters/ledger/former-order.ts';
import { poolHashTag, RedisLedgerStore } from '../queue/adapters/ledger/redis-ledger-store.ts';
import { FairTags } from '../queue/backlog/fair-tags.ts';
import type { BacklogView } from '../queue/backlog/ports.ts';
import type { JobLane } from '../queue/jobs/ports.ts';
import { PoolLiveOrder } from '../queue/live-order/pool-live-order.ts';
import type { RedisLink } from './redis-link.ts';

/** What the parts of every pool share. */
export interface PoolWorld {
  readonly redis: RedisLink;
  readonly installation: string;
  /** Name of this process in the ledgers; unique per run. */
  readonly owner: string;
  readonly directory: EndpointDirectory;
  /** Other gateways serve the same pools: one of them publishes the slots. */
  readonly hasPeers: boolean;
  /** Of the directory. */
  readonly knowledge: () => EndpointKnowledge;
  readonly modelServer: ModelServer;
  readonly scraper: MetricsSource;
  readonly scrapeBusyEveryMs: number;
  readonly scrapeIdleEveryMs: number;
  readonly profile: Profile;
  readonly hash: TextHash;
  readonly outcomeRetentionMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly dispatcherMetrics: DispatcherMetrics;
  readonly pickerMetrics: PickerMetrics;
}

/** One pool in this process: its order, its backlog, and what ranks, scrapes and sizes its endpoints. */
export interface PoolParts {
  readonly order: PoolLiveOrder;
  readonly runtime: PoolRuntime;
  readonly lane: JobLane;
  /** The backlog of jobs, as its operators look at it. */
  readonly jobs: BacklogView;
  /** Chunks of batches; a backlog of its own beside that of jobs. */
  readonly chunks: BullmqBacklog;
  close(): Promise<void>;
}

/** What a pool's ledger in Redis is opened with. */
export interface LedgerWorld
  extends Pick<PoolWorld, 'redis' | 'installation' | 'owner' | 'outcomeRetentionMs' | 'clock' | 'log'> {
  /** False for a process that runs no calls. */
  readonly executes: boolean;
}

export function openLedger(world: LedgerWorld, pool: PoolKey): PoolLiveOrder {
  const { redis, installation, owner, outcomeRetentionMs, clock, log, executes } = world;
  return new PoolLiveOrder({
    store: new RedisLedgerStore({
      command: redis.command,
      subscriber: redis.subscriber,
      keyPrefix: `${redis.keyPrefix}:`,
      installation,
      pool,
    }),
    pool,
    owner,
    executes,
    clock,
    log,
    timing: { outcomeRetentionMs },
  });
}

export function openPool(world: PoolWorld, pool: PoolKey): PoolParts {
  const { redis, clock, random, log, directory } = world;
  const root = `${redis.keyPrefix}:${poolHashTag(world.installation, pool)}`;
  const order = openLedger({ ...world, executes: true }, pool);
  const queues = { pool, root, client: redis.command, connection: redis.bullmq, channels: redis.channels, log };
  const backlog = new BullmqBacklog(queues);
  const chunks = new BullmqBacklog({ ...queues, kind: 'chunks' });
  const tags = new FairTags({
    book: new RedisTagBook({ client: redis.command, root, owner: world.owner }),
    retag: (objective, base, mayGoOn) => backlog.retag(objective, base, mayGoOn),
    clock,
    log,
  });
  const dead = new RedisDeadLetters({
    client: redis.command,
    root,
    retentionMs: world.outcomeRetentionMs,
    clock,
  });
  const ranker = new PoolRanker({ pool, directory, profile: world.profile, hash: world.hash, clock, random });
  const right = world.hasPeers
    ? new RedisPublishRight({
        command: redis.command,
        key: `${root}:slots-publisher`,
        owner: world.owner,
        clock,
        knowledge: world.knowledge,
      })
    : undefined;
  const slots = new SlotsLoop({
    pool,
    directory,
    ledger: order,
    ...(right && { right }),
    modelServer: world.modelServer,
    clock,
    log,
    metrics: world.dispatcherMetrics,
  });
  const unlisten = order.onIncarnation(() => slots.resend());
  const poller = new MetricsPoller({
    pool,
    directory,
    source: world.scraper,
    isBusy: (endpointId) => ranker.inFlight(endpointId) > 0,
    onObservation: (observation) => {
      ranker.observe(observation);
      slots.observe(observation);
      const { endpointId, metrics, startedAtEpochMs } = observation;
      order.observe(endpointId, metrics.runningRequests + metrics.waitingRequests, startedAtEpochMs);
    },
    clock,
    random,
    log,
    metrics: world.pickerMetrics,
    intervals: { ...DEFAULT_POLL_INTERVALS, busyMs: world.scrapeBusyEveryMs, idleMs: world.scrapeIdleEveryMs },
  });
  return {
    order,
    runtime: { order, ranker, health: slots },
    lane: { ledger: order, backlog, dead, tags, order, former: formerOrders(redis.command, root) },
    jobs: backlog,
    chunks,
    async close() {
      unlisten();
      poller.close();
      slots.close();
      ranker.close();
      await right?.close();
      await tags.close();
      await Promise.all([backlog.close(), chunks.close()]);
      await order.close();
    },
  };
}
