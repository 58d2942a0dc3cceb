import type { Redis } from 'ioredis';
import type { BlobStore } from '../../src/core/blobs.ts';
import type { Clock } from '../../src/core/clock.ts';
import type { Notice, NoticeType, WebhookDelivery } from '../../src/core/notices.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { createRedis, whenReady } from '../../src/platform/redis/connection.ts';
import { shareConnection } from '../../src/queue/adapters/bullmq/shared-backend.ts';
import { openWebhooks, type WebhookParts, type WebhookWorld } from '../../src/roles/webhooks.ts';
import { silentWebhookMeter } from '../../src/webhooks/ports.ts';
import { MemoryBlobStore } from './memory-blob-store.ts';
import { silentLogger } from './silent-logger.ts';
import { until } from './until.ts';

export interface GatewayOptions {
  readonly url: string;
  readonly prefix: string;
  readonly blobs?: BlobStore;
  readonly clock?: Clock;
  readonly settings?: Partial<WebhookWorld['settings']>;
}

export interface WebhookGateway extends WebhookParts {
  readonly command: Redis;
  /** Ends it and its connections. */
  stop(): Promise<void>;
  /** As after `kill -9`, as far as Redis can tell. */
  vanish(): void;
}

/** The webhooks of one gateway, over Redis, with loopback allowed. Not stopped by itself. */
export async function openGateway(options: GatewayOptions): Promise<WebhookGateway> {
  const { url, prefix, blobs = new MemoryBlobStore(), clock = systemClock, settings } = options;
  const command = createRedis({ url, purpose: 'command', log: silentLogger });
  await whenReady(command, 10_000);
  const bullmq = await shareConnection(command);
  const parts = openWebhooks({
    settings: {
      enabled: true,
      allowedHosts: ['127.0.0.1'],
      onlyAllowedHosts: false,
      perTenant: 16,
      timeoutMs: 2_000,
      giveUpAfterMs: 259_200_000,
      ...settings,
    },
    installation: 'test',
    redis: { command, bullmq, keyPrefix: prefix },
    blobs,
    clock,
    random: { next: () => 0 },
    log: silentLogger,
    version: '0',
    meter: silentWebhookMeter,
    timing: { lockMs: 1_000, stallPassMs: 500 },
  });
  return {
    ...parts,
    command,
    async stop() {
      await parts.close();
      command.disconnect();
    },
    vanish: () => command.disconnect(),
  };
}

let notices = 0;

export function noticeFor(tenant: string, type: NoticeType = 'batch.completed'): Notice {
  notices += 1;
  const objectId = `batch_${notices}`;
  return { id: `evt_${objectId}`, type, tenant, createdAtEpochMs: Date.now(), objectId };
}

/** The newest delivery of an endpoint, once it is as wanted. */
export async function deliveryWhen(
  { service }: Pick<WebhookParts, 'service'>,
  { id, tenant }: { id: string; tenant: string },
  wanted: (delivery: WebhookDelivery) => boolean,
  what: string,
): Promise<WebhookDelivery> {
  let found: WebhookDelivery | undefined;
  await until(async () => {
    [found] = await service.deliveries(id, tenant);
    return found !== undefined && wanted(found);
  }, what);
  return found!;
}
