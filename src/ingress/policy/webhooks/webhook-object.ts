import type { WebhookDelivery, WebhookEndpoint, WebhookWithSecret } from '../../../core/notices.ts';
import { seconds, secondsOrNull } from '../seconds.ts';

/** An endpoint as clients see it. */
export function webhookObject(endpoint: WebhookEndpoint) {
  return {
    id: endpoint.id,
    object: 'webhook_endpoint',
    created_at: seconds(endpoint.createdAtEpochMs),
    updated_at: seconds(endpoint.updatedAtEpochMs),
    name: endpoint.name,
    url: endpoint.url,
    event_types: endpoint.eventTypes,
    signing_secret_hint: endpoint.secretHint,
    /** False after the receiver answered 410. */
    enabled: endpoint.enabled,
  };
}

/** With the secret, which is shown at creation and rotation alone. */
export function webhookWithSecretObject({ endpoint, signingSecret }: WebhookWithSecret) {
  return { ...webhookObject(endpoint), signing_secret: signingSecret };
}

export function deletedWebhookObject(id: string) {
  return { id, object: 'webhook_endpoint.deleted', deleted: true };
}

export function deliveryObject(delivery: WebhookDelivery) {
  const { notice } = delivery;
  return {
    id: delivery.id,
    object: 'webhook_endpoint.delivery',
    webhook_endpoint_id: delivery.endpointId,
    event: {
      id: notice.id,
      type: notice.type,
      created_at: seconds(notice.createdAtEpochMs),
      data: { id: notice.objectId },
    },
    status: delivery.status,
    attempts: delivery.attempts,
    last_attempt_at: secondsOrNull(delivery.lastAttemptAtEpochMs),
    next_attempt_at: secondsOrNull(delivery.nextAttemptAtEpochMs),
    last_result: delivery.lastResult,
  };
}

/** A page of objects that have ids. */
export function pageObject(data: readonly { readonly id: string }[], hasMore: boolean) {
  return { object: 'list', data, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null, has_more: hasMore };
}
