import type { Registry } from 'prom-client';
import type { Config } from '../config/config.ts';
import type { Identity } from '../core/identity.ts';
import type { JobEndListener, JobService } from '../core/jobs.ts';
import type { Logger } from '../core/logger.ts';
import type { CatalogSource } from '../core/objects.ts';
import { askedJob } from '../ingress/asked-job.ts';
import { parseJsonBody } from '../ingress/policy/json-body.ts';
import { memberText } from '../ingress/policy/json-members.ts';
import { systemClock } from '../platform/clock.ts';
import { systemRandom } from '../platform/random.ts';
import { messageJobId } from '../sqs/adapters/message-job-id.ts';
import { RedisAttemptBook } from '../sqs/adapters/redis-attempt-book.ts';
import type { S3Payloads } from '../sqs/adapters/s3-payloads.ts';
import type { SqsService } from '../sqs/adapters/sqs-service.ts';
import { HandOver } from '../sqs/hand-over.ts';
import { HeldMessages } from '../sqs/held-messages.ts';
import { sqsMetrics } from '../sqs/metrics.ts';
import { isFifo } from '../sqs/policy/reply.ts';
import type { SourceMeter, ToJob } from '../sqs/ports.ts';
import { Refusals } from '../sqs/refusals.ts';
import { Results } from '../sqs/results.ts';
import { SourceIntake } from '../sqs/source-intake.ts';
import type { RedisLink } from './redis-link.ts';

export interface SqsWorld {
  readonly config: Pick<Config, 'sqs' | 'tenants' | 'auth' | 'limits' | 'installation'>;
  readonly redis: Pick<RedisLink, 'command' | 'keyPrefix'>;
  readonly catalog: CatalogSource;
  readonly jobs: JobService;
  readonly registry: Registry;
  readonly log: Logger;
}

/** SQS queues of this process. */
export interface Sqs {
  start(): void;
  /** Receives no more, and hands back what was not taken over. */
  stop(): Promise<void>;
  /** Sends the results of jobs that came from a queue. */
  readonly onJobEnd: JobEndListener;
  /** After everything that may still tell an end. */
  close(): void;
}

type QueueSettings = Config['sqs']['queues'][number];

interface Source {
  readonly intake: SourceIntake;
  readonly results: Results;
  close(): void;
}

/** Opens the configured queues; null without any. Starts nothing. */
export async function openSqs(world: SqsWorld): Promise<Sqs | null> {
  const { queues } = world.config.sqs;
  if (queues.length === 0) return null;
  // The SDK takes tens of megabytes, which only those pay who need it.
  const [sqs, s3] = await Promise.all([
    import('../sqs/adapters/sqs-service.ts'),
    import('../sqs/adapters/s3-payloads.ts'),
  ]);
  const meterOf = sqsMetrics(world.registry);
  const sources = new Map<string, Source>();
  for (const settings of queues) {
    const { name, region, endpoint, s3Endpoint } = settings;
    const service = new sqs.SqsService({ region, endpoint });
    const payloads = new s3.S3Payloads({ region, endpoint: s3Endpoint });
    const source = openSource(world, settings, { service, payloads, meter: meterOf(name) });
    sources.set(name, {
      ...source,
      close() {
        service.close();
        payloads.close();
      },
    });
  }
  return {
    start() {
      for (const { intake } of sources.values()) intake.start();
    },
    async stop() {
      await Promise.all([...sources.values()].map(({ intake }) => intake.stop()));
    },
    async onJobEnd(view, announcement) {
      if (announcement.kind !== 'sqs') return;
      const source = sources.get(announcement.source);
      if (!source) throw new Error(`sqs.queues has no "${announcement.source}" any more; put it back to send results`);
      await source.results.sendEnd(view, announcement);
    },
    close() {
      for (const source of sources.values()) source.close();
    },
  };
}

interface SourceParts {
  readonly service: SqsService;
  readonly payloads: S3Payloads;
  readonly meter: SourceMeter;
}

function openSource(
  world: SqsWorld,
  settings: QueueSettings,
  { service, payloads, meter }: SourceParts,
): Omit<Source, 'close'> {
  const { config, redis, jobs } = world;
  const { name, url, maxHeld, visibilityMs, buckets, resultsUrl, replyTo, deadLetterUrl } = settings;
  const { maxResultBytes, resultsBucket } = settings;
  const log = world.log.child({ queue: name });
  const shared = { jobs, clock: systemClock, random: systemRandom, log, meter };
  const queue = service.source(url);
  const fifo = isFifo(url);
  const results = new Results({ ...shared, outbound: service, payloads, maxResultBytes, resultsBucket });
  const held = new HeldMessages({ ...shared, queue, visibilityMs });
  const handOver = new HandOver({
    ...shared,
    source: name,
    replies: { resultsUrl, replyTo },
    toJob: toJobOf(world, settings),
    attempts: new RedisAttemptBook(redis.command, `${redis.keyPrefix}:${config.installation}`),
    // The message of a FIFO group stays until its result is sent, which keeps results in order too.
    announces: !fifo,
    json: { parse: parseJsonBody, member: memberText },
    payloads,
    buckets,
    maxBodyBytes: config.limits.bodyBytes,
    jobIdOf: (messageId) => messageJobId(url, messageId),
  });
  const refusals = new Refusals({ results, deadLetterUrl, log });
  const intake = new SourceIntake({
    ...shared,
    queue,
    held,
    handOver,
    refusals,
    results,
    maxHeld,
    visibilityMs,
    isFifo: fifo,
  });
  return { intake, results };
}

function toJobOf({ config, catalog }: SqsWorld, { tenant, objective }: QueueSettings): ToJob {
  const identity = identityOf(config, tenant);
  const deps = { catalog, clock: systemClock, chance: () => systemRandom.next() };
  return (asked) => askedJob(deps, identity, { ...asked, objective: asked.objective ?? objective });
}

/** The configuration was checked: it is there. */
function identityOf({ tenants, auth }: Pick<Config, 'tenants' | 'auth'>, tenant: string): Identity {
  const known = tenants.find(({ identity }) => identity.tenant === tenant)?.identity ?? auth.anonymous;
  if (known?.tenant !== tenant) throw new Error(`no tenant "${tenant}"`);
  return known;
}
