import type { Clock } from '../core/clock.ts';
import { PilotlightError } from '../core/errors.ts';
import type {
  Notice,
  NoticeType,
  WebhookDelivery,
  WebhookEndpoint,
  WebhookEndpointFields,
  WebhookService,
  WebhookWithSecret,
} from '../core/notices.ts';
import type { Deliverer } from './deliverer.ts';
import { newDelivery, nextRound, shownDelivery } from './policy/delivery.ts';
import { changed, type EndpointRecord, newEndpoint, rotated, shownEndpoint, withSecret } from './policy/endpoint.ts';
import type { Courier, DeliveryQueue, DeliveryStore, EndpointStore, WebhookIds } from './ports.ts';

export interface WebhooksDeps {
  readonly endpoints: EndpointStore;
  readonly deliveries: DeliveryStore;
  readonly queue: DeliveryQueue;
  readonly courier: Pick<Courier, 'refusal'>;
  readonly deliverer: Pick<Deliverer, 'attemptOnce'>;
  readonly ids: WebhookIds;
  readonly clock: Clock;
  /** Endpoints of one tenant. */
  readonly perTenant: number;
}

/** A host that is not resolved by then is judged when it is called. */
const RESOLVE_WITHIN_MS = 5_000;

/** The webhooks of one installation. */
export class Webhooks implements WebhookService {
  readonly #deps: WebhooksDeps;

  constructor(deps: WebhooksDeps) {
    this.#deps = deps;
  }

  async create(tenant: string, fields: WebhookEndpointFields): Promise<WebhookWithSecret> {
    const { endpoints, ids, clock, perTenant } = this.#deps;
    await this.#checkUrl(fields.url);
    return endpoints.change(tenant, (records) => {
      if (records.length >= perTenant) throw tooMany(perTenant);
      const put = newEndpoint({ ...fields, id: ids.endpoint(), tenant, secret: ids.secret() }, clock.epochMs());
      return { put, answer: withSecret(put) };
    });
  }

  async list(tenant: string): Promise<readonly WebhookEndpoint[]> {
    return (await this.#deps.endpoints.all(tenant)).map(shownEndpoint);
  }

  async get(id: string, tenant: string): Promise<WebhookEndpoint> {
    return shownEndpoint(await this.#find(id, tenant));
  }

  async update(id: string, tenant: string, fields: Partial<WebhookEndpointFields>): Promise<WebhookEndpoint> {
    const { endpoints, clock } = this.#deps;
    if (fields.url !== undefined) await this.#checkUrl(fields.url);
    return endpoints.change(tenant, (records) => {
      const put = changed(required(records, id), fields, clock.epochMs());
      return { put, answer: shownEndpoint(put) };
    });
  }

  async delete(id: string, tenant: string): Promise<void> {
    const { endpoints, deliveries } = this.#deps;
    await endpoints.change(tenant, (records) => ({ remove: required(records, id).id, answer: undefined }));
    await reached(() => deliveries.forget(id));
  }

  async rotateSecret(id: string, tenant: string): Promise<WebhookWithSecret> {
    const { endpoints, ids, clock } = this.#deps;
    return endpoints.change(tenant, (records) => {
      const put = rotated(required(records, id), ids.secret(), clock.epochMs());
      return { put, answer: withSecret(put) };
    });
  }

  async test(id: string, tenant: string, type: NoticeType): Promise<WebhookDelivery> {
    const { deliveries, deliverer, ids, clock } = this.#deps;
    const endpoint = await this.#find(id, tenant);
    const token = ids.token();
    const nowEpochMs = clock.epochMs();
    const notice: Notice = {
      id: `evt_test_${token}`,
      type,
      tenant,
      createdAtEpochMs: nowEpochMs,
      objectId: `${PREFIXES[type.split('.')[0] ?? ''] ?? 'job'}_test_${token}`,
    };
    const record = newDelivery(ids.delivery(id, notice.id), id, notice, nowEpochMs);
    await reached(() => deliveries.create(record));
    return shownDelivery(await reached(() => deliverer.attemptOnce(record, endpoint)));
  }

  async deliveries(id: string, tenant: string): Promise<readonly WebhookDelivery[]> {
    await this.#find(id, tenant);
    return (await reached(() => this.#deps.deliveries.log(id))).map(shownDelivery);
  }

  async redeliver(id: string, tenant: string, deliveryId: string): Promise<WebhookDelivery> {
    const { deliveries, queue, clock } = this.#deps;
    await this.#find(id, tenant);
    const record = await reached(() => deliveries.get(deliveryId));
    if (record?.endpointId !== id) {
      const message = `No delivery found with id '${deliveryId.slice(0, 128)}'; those of the last days are listed at /v1/webhook_endpoints/${id}/deliveries.`;
      throw new PilotlightError('webhook_not_found', message, { param: 'delivery_id' });
    }
    const again = nextRound(record, clock.epochMs());
    await reached(async () => {
      await deliveries.save(again);
      await queue.push({ id: again.id, round: again.round });
    });
    return shownDelivery(again);
  }

  async #find(id: string, tenant: string): Promise<EndpointRecord> {
    return required(await this.#deps.endpoints.all(tenant), id);
  }

  async #checkUrl(url: string): Promise<void> {
    const why = await this.#deps.courier.refusal(url, AbortSignal.timeout(RESOLVE_WITHIN_MS));
    if (why !== null) throw new PilotlightError('invalid_value', `Invalid 'url': it ${why}.`, { param: 'url' });
  }
}

/** What the ids of objects begin with, by the first word of a notice's type. */
const PREFIXES: Readonly<Record<string, string>> = { batch: 'batch', response: 'resp', pilotlight: 'job' };

function required(records: readonly EndpointRecord[], id: string): EndpointRecord {
  const record = records.find((known) => known.id === id);
  if (record) return record;
  const shown = id.slice(0, 128);
  throw new PilotlightError('webhook_not_found', `No webhook endpoint found with id '${shown}'.`, { param: 'id' });
}

function tooMany(perTenant: number): PilotlightError {
  const message = `There are ${perTenant} webhook endpoints already (limit webhooks.perTenant); delete one first.`;
  return new PilotlightError('invalid_value', message);
}

async function reached<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof PilotlightError) throw error;
    throw new PilotlightError('queue_unavailable', 'Deliveries cannot be reached: Redis does not answer.', {
      cause: error,
      retryAfterMs: 2_000,
    });
  }
}
