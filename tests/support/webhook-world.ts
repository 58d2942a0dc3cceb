import type { Notice, NoticeType } from '../../src/core/notices.ts';
import { Deliverer } from '../../src/webhooks/deliverer.ts';
import { type AttemptResult, type DeliveryRecord } from '../../src/webhooks/policy/delivery.ts';
import { type EndpointRecord, newEndpoint } from '../../src/webhooks/policy/endpoint.ts';
import {
  type Courier,
  type DeliveryPointer,
  type DeliveryQueue,
  type DeliveryStore,
  type EndpointStore,
  type Parcel,
  silentWebhookMeter,
} from '../../src/webhooks/ports.ts';
import { NoticePublisher } from '../../src/webhooks/publisher.ts';
import { FakeClock } from './fake-clock.ts';
import { silentLogger } from './silent-logger.ts';

export const TENANT = 'team-a';
export const OK: AttemptResult = { kind: 'answered', status: 200, retryAfterMs: null };

export function status(code: number, retryAfterMs: number | null = null): AttemptResult {
  return { kind: 'answered', status: code, retryAfterMs };
}

/** Webhooks in memory, on a clock that moves when told to. Redis and the blob store can be taken away. */
export class WebhookWorld {
  readonly clock = new FakeClock();
  readonly endpoints = new Map<string, EndpointRecord>();
  readonly deliveries = new Map<string, DeliveryRecord>();
  readonly sent: { readonly parcel: Parcel; readonly atMs: number }[] = [];
  /** How receivers answer. */
  answer: (parcel: Parcel, place: number) => AttemptResult | Promise<AttemptResult> = () => OK;
  isDown = false;
  /** Too many wait for every endpoint. */
  isFull = false;
  readonly #pending = new Map<string, symbol>();

  readonly endpointStore: EndpointStore = {
    all: async (tenant) => {
      await this.#reach();
      return [...this.endpoints.values()].filter((record) => record.tenant === tenant);
    },
    change: async (_tenant, decide) => {
      await this.#reach();
      const { put, remove, answer } = await decide([...this.endpoints.values()]);
      if (put) this.endpoints.set(put.id, put);
      if (remove !== undefined) this.endpoints.delete(remove);
      return answer;
    },
  };

  readonly deliveryStore: DeliveryStore = {
    create: async (record) => {
      await this.#reach();
      if (this.deliveries.has(record.id)) return 'known';
      if (this.isFull) return 'full';
      this.deliveries.set(record.id, record);
      return 'created';
    },
    get: async (id) => {
      await this.#reach();
      return this.deliveries.get(id) ?? null;
    },
    save: async (record) => {
      await this.#reach();
      this.deliveries.set(record.id, record);
    },
    overdue: async (beforeEpochMs) => {
      await this.#reach();
      return [...this.deliveries.values()].filter(
        (record) => record.status === 'pending' && (record.nextAttemptAtEpochMs ?? 0) <= beforeEpochMs,
      );
    },
    log: () => Promise.resolve([...this.deliveries.values()]),
    forget: () => Promise.resolve(),
  };

  readonly queue: DeliveryQueue = {
    push: async (pointer) => {
      await this.#reach();
      const key = `${pointer.id}-${pointer.round}`;
      if (!this.#pending.has(key)) void this.#work(key, pointer);
    },
    work: () => undefined,
    close: () => Promise.resolve(),
  };

  readonly courier: Courier = {
    send: async (parcel, signal) => {
      this.sent.push({ parcel, atMs: this.clock.epochMs() });
      const answer = Promise.resolve(this.answer(parcel, this.sent.length - 1));
      const { promise, resolve } = Promise.withResolvers<AttemptResult>();
      signal.addEventListener('abort', () => resolve({ kind: 'unreachable', why: 'ABORTED' }), { once: true });
      return Promise.race([answer, promise]);
    },
    refusal: () => Promise.resolve(null),
  };

  readonly deliverer: Deliverer;
  readonly publisher: NoticePublisher;

  constructor({ giveUpAfterMs = 72 * 3_600_000 }: { giveUpAfterMs?: number } = {}) {
    const shared = {
      endpoints: this.endpointStore,
      deliveries: this.deliveryStore,
      queue: this.queue,
      courier: this.courier,
      clock: this.clock,
      random: { next: () => 0 },
      log: silentLogger,
      meter: silentWebhookMeter,
      ids: { delivery: (endpointId: string, noticeId: string) => `${endpointId}/${noticeId}` },
    };
    this.deliverer = new Deliverer({ ...shared, giveUpAfterMs });
    this.publisher = new NoticePublisher(shared);
  }

  /** The queue forgets what is in it now. */
  loseQueue(): void {
    this.#pending.clear();
  }

  /** Pointers in the queue. */
  get queued(): number {
    return this.#pending.size;
  }

  addEndpoint(id: string, eventTypes: readonly NoticeType[] = ['batch.completed']): EndpointRecord {
    const fields = { id, tenant: TENANT, name: id, url: `https://${id}.test/`, eventTypes, secret: `secret of ${id}` };
    const record = newEndpoint(fields, this.clock.epochMs());
    this.endpoints.set(id, record);
    return record;
  }

  notice(objectId: string, type: NoticeType = 'batch.completed'): Notice {
    return { id: `evt_${objectId}`, type, tenant: TENANT, createdAtEpochMs: this.clock.epochMs(), objectId };
  }

  async #work(key: string, pointer: DeliveryPointer): Promise<void> {
    const place = Symbol(key);
    this.#pending.set(key, place);
    await this.clock.sleep(0);
    while (this.#pending.get(key) === place) {
      const verdict = await this.deliverer.handle(pointer).catch(() => ({ kind: 'again' as const, delayMs: 5_000 }));
      if (verdict.kind === 'done') this.#pending.delete(key);
      else await this.clock.sleep(verdict.delayMs);
    }
  }

  #reach(): Promise<void> {
    return this.isDown ? Promise.reject(new Error('Redis is away')) : Promise.resolve();
  }
}
