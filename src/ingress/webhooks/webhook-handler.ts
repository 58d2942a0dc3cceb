import { PilotlightError } from '../../core/errors.ts';
import type { WebhookService } from '../../core/notices.ts';
import { type Exchange, sendJson } from '../exchange.ts';
import { shown } from '../policy/fields.ts';
import { afterOf, integerIn, wordIn } from '../policy/query.ts';
import { changedWebhookFields, newWebhookFields, testType } from '../policy/webhooks/webhook-fields.ts';
import {
  deletedWebhookObject,
  deliveryObject,
  pageObject,
  webhookObject,
  webhookWithSecretObject,
} from '../policy/webhooks/webhook-object.ts';

export interface WebhookApiDeps {
  readonly webhooks: WebhookService;
}

/** As many as one tenant can have. */
const MAX_PAGE = 1_000;

/** POST /v1/webhook_endpoints. The answer is the only one, besides that of a rotation, that has the secret. */
export async function createWebhook({ webhooks }: WebhookApiDeps, exchange: Exchange, body: Uint8Array): Promise<void> {
  const created = await webhooks.create(exchange.identity.tenant, orThrow(newWebhookFields(body)));
  sendJson(exchange, 200, webhookWithSecretObject(created));
}

/** GET /v1/webhook_endpoints: newest first, unless `order=asc`; `limit` and `after` as in every list. */
export async function listWebhooks(
  { webhooks }: WebhookApiDeps,
  exchange: Exchange,
  query: URLSearchParams,
): Promise<void> {
  const limit = integerIn(query, 'limit', { min: 1, max: MAX_PAGE }) ?? MAX_PAGE;
  const order = wordIn(query, 'order', ['asc', 'desc']) ?? 'desc';
  const after = afterOf(query);
  const oldestFirst = await webhooks.list(exchange.identity.tenant);
  const all = order === 'asc' ? oldestFirst : oldestFirst.toReversed();
  const begin = after === null ? 0 : all.findIndex(({ id }) => id === after) + 1;
  if (after !== null && begin === 0) throw noCursor(after);
  const page = all.slice(begin, begin + limit);
  sendJson(exchange, 200, pageObject(page.map(webhookObject), begin + limit < all.length));
}

/** GET /v1/webhook_endpoints/{id} */
export async function showWebhook({ webhooks }: WebhookApiDeps, exchange: Exchange, id: string): Promise<void> {
  sendJson(exchange, 200, webhookObject(await webhooks.get(id, exchange.identity.tenant)));
}

/** POST /v1/webhook_endpoints/{id} */
export async function updateWebhook(
  { webhooks }: WebhookApiDeps,
  exchange: Exchange,
  id: string,
  body: Uint8Array,
): Promise<void> {
  const fields = orThrow(changedWebhookFields(body));
  sendJson(exchange, 200, webhookObject(await webhooks.update(id, exchange.identity.tenant, fields)));
}

/** DELETE /v1/webhook_endpoints/{id} */
export async function deleteWebhook({ webhooks }: WebhookApiDeps, exchange: Exchange, id: string): Promise<void> {
  await webhooks.delete(id, exchange.identity.tenant);
  sendJson(exchange, 200, deletedWebhookObject(id));
}

/** POST /v1/webhook_endpoints/{id}/rotate_secret */
export async function rotateWebhookSecret({ webhooks }: WebhookApiDeps, exchange: Exchange, id: string): Promise<void> {
  sendJson(exchange, 200, webhookWithSecretObject(await webhooks.rotateSecret(id, exchange.identity.tenant)));
}

/** POST /v1/webhook_endpoints/{id}/test: how the one attempt went, whatever came of it. */
export async function testWebhook(
  { webhooks }: WebhookApiDeps,
  exchange: Exchange,
  id: string,
  body: Uint8Array,
): Promise<void> {
  const { tenant } = exchange.identity;
  const asked = orThrow(testType(body));
  const type = asked ?? (await webhooks.get(id, tenant)).eventTypes[0] ?? 'batch.completed';
  sendJson(exchange, 200, deliveryObject(await webhooks.test(id, tenant, type)));
}

/** GET /v1/webhook_endpoints/{id}/deliveries: newest first, at most 100. */
export async function listDeliveries({ webhooks }: WebhookApiDeps, exchange: Exchange, id: string): Promise<void> {
  const deliveries = await webhooks.deliveries(id, exchange.identity.tenant);
  sendJson(exchange, 200, pageObject(deliveries.map(deliveryObject), false));
}

/** POST /v1/webhook_endpoints/{id}/deliveries/{delivery}/redeliver */
export async function redeliverWebhook(
  { webhooks }: WebhookApiDeps,
  exchange: Exchange,
  id: string,
  deliveryId: string,
): Promise<void> {
  sendJson(exchange, 200, deliveryObject(await webhooks.redeliver(id, exchange.identity.tenant, deliveryId)));
}

function orThrow<T>(parsed: T | PilotlightError): T {
  if (parsed instanceof PilotlightError) throw parsed;
  return parsed;
}

function noCursor(after: string): PilotlightError {
  const message = `Invalid 'after': there is no webhook endpoint '${shown(after)}'.`;
  return new PilotlightError('invalid_value', message, { param: 'after' });
}
