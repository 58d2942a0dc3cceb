import type { Config } from '../config/config.ts';
import type { BlobStore } from '../core/blobs.ts';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import type { NoticeSink, WebhookService } from '../core/notices.ts';
import type { Random } from '../core/random.ts';
import { backendOver } from '../queue/adapters/bullmq/shared-backend.ts';
import { Wake } from '../queue/adapters/bullmq/wake.ts';
import { BlobEndpointStore } from '../webhooks/adapters/blob-endpoint-store.ts';
import { BullmqDeliveryQueue } from '../webhooks/adapters/bullmq-delivery-queue.ts';
import { HttpCourier, type HttpCourierOptions } from '../webhooks/adapters/http-courier.ts';
import { RedisDeliveryStore } from '../webhooks/adapters/redis-delivery-store.ts';
import { webhookIds } from '../webhooks/adapters/webhook-ids.ts';
import { Deliverer } from '../webhooks/deliverer.ts';
import type { WebhookMeter } from '../webhooks/ports.ts';
import { NoticePublisher } from '../webhooks/publisher.ts';
import { Webhooks } from '../webhooks/webhooks.ts';
import type { RedisLink } from './redis-link.ts';

export interface WebhookWorld {
  readonly settings: Config['webhooks'];
  readonly installation: string;
  readonly redis: Pick<RedisLink, 'command' | 'bullmq' | 'keyPrefix'>;
  readonly blobs: BlobStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly version: string;
  readonly meter: WebhookMeter;
  /** How hosts are resolved and judged; default: as on any machine. */
  readonly network?: Pick<HttpCourierOptions, 'resolve' | 'isPublic'>;
  /** How long a delivery of a dead process stays with it. */
  readonly timing?: { readonly lockMs: number; readonly stallPassMs: number };
}

export interface WebhookParts {
  readonly service: WebhookService;
  readonly sink: NoticeSink;
  /** Attempts under way are cut and made again elsewhere. */
  close(): Promise<void>;
}

/** Webhooks of this process: their endpoints, what publishes notices, and the deliverer, which starts at once. */
export function openWebhooks(world: WebhookWorld): WebhookParts {
  const { settings, installation, redis, blobs, clock, random, log, version, meter, network, timing } = world;
  const { allowedHosts, onlyAllowedHosts, timeoutMs, giveUpAfterMs, perTenant } = settings;
  const prefix = `${redis.keyPrefix}:{${installation}/webhooks}`;
  const client = redis.command;
  const endpoints = new BlobEndpointStore({ blobs, client, prefix, clock });
  const deliveries = new RedisDeliveryStore({ client, prefix, giveUpAfterMs });
  const gate = { isOpen: false, wake: new Wake() };
  const fetch = { backend: backendOver(redis.bullmq, gate), gate };
  const queue = new BullmqDeliveryQueue({ client, fetch, prefix, log, ...timing });
  const courier = new HttpCourier({ rules: { allowedHosts, onlyAllowedHosts }, timeoutMs, version, ...network });
  const shared = { endpoints, deliveries, queue, courier, ids: webhookIds, clock, random, log, meter };
  const deliverer = new Deliverer({ ...shared, giveUpAfterMs });
  deliverer.start();
  return {
    service: new Webhooks({ ...shared, deliverer, perTenant }),
    sink: new NoticePublisher(shared),
    close: () => deliverer.close(),
  };
}
