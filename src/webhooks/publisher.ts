import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import type { Notice, NoticeSink } from '../core/notices.ts';
import { newDelivery } from './policy/delivery.ts';
import type { DeliveryQueue, DeliveryStore, EndpointStore, WebhookIds, WebhookMeter } from './ports.ts';

export interface PublisherDeps {
  readonly endpoints: EndpointStore;
  readonly deliveries: DeliveryStore;
  readonly queue: DeliveryQueue;
  readonly ids: Pick<WebhookIds, 'delivery'>;
  readonly clock: Clock;
  readonly meter: WebhookMeter;
  readonly log: Logger;
}

/**
 * Turns a notice into one delivery for each endpoint of its tenant that wants such notices. A delivery's id follows from
 * notice and endpoint, so a notice that is published again makes no second one while the first is known. An endpoint for
 * which too many wait gets no more until some have ended.
 */
export class NoticePublisher implements NoticeSink {
  readonly #deps: PublisherDeps;

  constructor(deps: PublisherDeps) {
    this.#deps = deps;
  }

  async publish(notice: Notice): Promise<void> {
    const { endpoints, deliveries, queue, ids, clock, meter, log } = this.#deps;
    const all = await endpoints.all(notice.tenant);
    const wanted = all.filter(({ enabled, eventTypes }) => enabled && eventTypes.includes(notice.type));
    await Promise.all(
      wanted.map(async ({ id: endpointId }) => {
        const record = newDelivery(ids.delivery(endpointId, notice.id), endpointId, notice, clock.epochMs());
        const created = await deliveries.create(record);
        if (created === 'full') {
          meter.ended('dropped', 0);
          log.warn({ endpointId, noticeId: notice.id }, 'webhook.dropped');
          return;
        }
        const known = created === 'created' ? record : await deliveries.get(record.id);
        // Also when it is known: whoever made it may have died before this.
        if (known?.status === 'pending') await queue.push({ id: known.id, round: known.round });
      }),
    );
  }
}
