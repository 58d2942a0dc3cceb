import type { Express, Request, Response } from 'express';
import type { Exchange } from '../../exchange.ts';
import { queryOf } from '../../policy/query.ts';
import {
  createWebhook,
  deleteWebhook,
  listDeliveries,
  listWebhooks,
  redeliverWebhook,
  rotateWebhookSecret,
  showWebhook,
  testWebhook,
  updateWebhook,
  type WebhookApiDeps,
} from '../../webhooks/webhook-handler.ts';
import { type ExchangeDeps, withBody, withCaller } from '../http-exchange.ts';

export type WebhookRoutesDeps = ExchangeDeps & WebhookApiDeps;

const ALL = '/v1/webhook_endpoints';

/** Which methods the paths take, for whoever refuses others. */
export const WEBHOOK_METHODS: Readonly<Record<string, string>> = {
  [ALL]: 'GET, HEAD, POST',
  [`${ALL}/:id`]: 'GET, HEAD, POST, DELETE',
  [`${ALL}/:id/rotate_secret`]: 'POST',
  [`${ALL}/:id/test`]: 'POST',
  [`${ALL}/:id/deliveries`]: 'GET, HEAD',
  [`${ALL}/:id/deliveries/:delivery/redeliver`]: 'POST',
};

type ById = Request<{ id: string }>;

/** Webhook endpoints in the shape of the OpenAI SDKs, and the log of their deliveries. */
export function addWebhookRoutes(app: Express, deps: WebhookRoutesDeps): void {
  type Handle = (handlerDeps: WebhookApiDeps, exchange: Exchange, id: string) => Promise<void>;
  const byId = (route: string, handle: Handle) => (req: ById, res: Response) =>
    withCaller(deps, { route, req, res }, (exchange) => handle(deps, exchange, req.params.id));
  type HandleBody = (handlerDeps: WebhookApiDeps, exchange: Exchange, id: string, body: Uint8Array) => Promise<void>;
  const withItsBody = (route: string, handle: HandleBody) => (req: ById, res: Response) =>
    withBody(deps, { route, req, res }, (exchange, body) => handle(deps, exchange, req.params.id, body));
  const one = `${ALL}/{id}`;

  app.post(ALL, (req, res) =>
    withBody(deps, { route: ALL, req, res }, (exchange, body) => createWebhook(deps, exchange, body)),
  );
  app.get(ALL, (req, res) =>
    withCaller(deps, { route: ALL, req, res }, (exchange) => listWebhooks(deps, exchange, queryOf(req.url))),
  );
  app.get(`${ALL}/:id`, byId(one, showWebhook));
  app.post(`${ALL}/:id`, withItsBody(one, updateWebhook));
  app.delete(`${ALL}/:id`, byId(one, deleteWebhook));
  app.post(`${ALL}/:id/rotate_secret`, byId(`${one}/rotate_secret`, rotateWebhookSecret));
  app.post(`${ALL}/:id/test`, withItsBody(`${one}/test`, testWebhook));
  app.get(`${ALL}/:id/deliveries`, byId(`${one}/deliveries`, listDeliveries));
  app.post(`${ALL}/:id/deliveries/:delivery/redeliver`, (req, res) => {
    const route = `${one}/deliveries/{delivery}/redeliver`;
    const { id, delivery } = req.params;
    return withCaller(deps, { route, req, res }, (exchange) => redeliverWebhook(deps, exchange, id, delivery));
  });
}
