import { type Express, json, type Request, type Response } from 'express';
import type { Clock } from '../../core/clock.ts';
import { PilotlightError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import type { CatalogSource, PoolSpec } from '../../core/objects.ts';
import type { PoolOrders } from '../../core/pool-orders.ts';
import { shown } from '../policy/fields.ts';
import { ORDER_VERBS, type OrderVerb, orderObject, parseOrder } from '../policy/order-request.ts';
import type { AdminAction, AdminAuthorizer, StatusSource } from '../ports.ts';

export interface AdminPoolsDeps {
  readonly authorizer: AdminAuthorizer;
  readonly status: StatusSource;
  readonly catalog: CatalogSource;
  readonly orders: PoolOrders;
  /** Where orders are taken, in one sentence, when not here; null or absent = here. */
  readonly ordersElsewhere?: string | null;
  readonly clock: Clock;
  readonly log: Logger;
}

export type SendError = (res: Response, error: PilotlightError) => void;
export type PoolRequest = Request<{ namespace: string; name: string }>;
export type PolicyVerb = Extract<AdminAction, { kind: 'policy' }>['verb'];

const MAX_ORDER_BYTES = 4_096;

/** What the admin listener says of one pool, and the orders it takes for it. */
export function addPoolRoutes(app: Express, deps: AdminPoolsDeps, sendError: SendError): void {
  const { status, orders, clock } = deps;
  const inPool =
    (verb: PolicyVerb, handle: (asked: AskedPool, req: PoolRequest, res: Response) => Promise<void>) =>
    async (req: PoolRequest, res: Response) => {
      const asked = await askedPool(deps, req, verb);
      if (asked instanceof PilotlightError) sendError(res, asked);
      else await handle(asked, req, res);
    };
  app.get(
    '/pools/:namespace/:name/decisions',
    inPool('get', async ({ pool }, _req, res) => {
      const decisions = await status.decisions(pool.key);
      if (decisions) res.json({ pool: pool.key, decisions });
      else sendError(res, noPool(pool.key));
    }),
  );
  app.get(
    '/pools/:namespace/:name/orders',
    inPool('get', ({ pool }, _req, res) => {
      res.json(orderObject(pool.key, orders.of(pool.key), clock.epochMs()));
      return Promise.resolve();
    }),
  );
  // Only JSON is taken: a form on a web page cannot send it without the browser asking us first.
  const readJson = json({ limit: MAX_ORDER_BYTES, type: 'application/json', strict: false });
  for (const verb of ORDER_VERBS) {
    const right = verb === 'resume' ? 'pause' : verb;
    const takeOrder = inPool(right, (asked, req, res) => order(deps, verb, { asked, req, res }, sendError));
    app.post(`/pools/:namespace/:name/${verb}`, readJson, takeOrder);
  }
}

export interface AskedPool {
  readonly pool: PoolSpec;
  readonly by: string;
}

/** The pool of the path, if the caller may do this there. Without the right nobody learns which pools there are. */
export async function askedPool(
  { authorizer, catalog }: Pick<AdminPoolsDeps, 'authorizer' | 'catalog'>,
  req: PoolRequest,
  verb: PolicyVerb,
): Promise<AskedPool | PilotlightError> {
  const { namespace, name } = req.params;
  const key = `${namespace}/${name}`;
  const pool = catalog.current().pools.get(key);
  const action = { kind: 'policy', verb, namespace, name: pool?.policyName ?? name } as const;
  const allowed = await authorizer.authorize(req.headers, action);
  if (allowed instanceof PilotlightError) return allowed;
  return pool ? { pool, by: allowed.by } : noPool(key);
}

async function order(
  { orders, ordersElsewhere = null, clock, log }: AdminPoolsDeps,
  verb: OrderVerb,
  { asked, req, res }: { readonly asked: AskedPool; readonly req: PoolRequest; readonly res: Response },
  sendError: SendError,
): Promise<void> {
  const { pool, by } = asked;
  if (ordersElsewhere !== null) {
    sendError(res, new PilotlightError('admin_forbidden', ordersElsewhere));
    return;
  }
  const notJson = refusedType(req);
  if (notJson) {
    sendError(res, notJson);
    return;
  }
  const nowEpochMs = clock.epochMs();
  const maxReplicas = pool.targets.reduce((sum, target) => sum + target.maxReplicas, 0);
  const change = parseOrder(verb, req.body, { nowEpochMs, maxReplicas });
  if (change instanceof PilotlightError) {
    sendError(res, change);
    return;
  }
  await orders.set(pool.key, { ...change, by });
  log.info({ pool: pool.key, verb, by, ...change }, 'order.given');
  // What was heard may still be what held before.
  const other = change.wakeUntilEpochMs ? { drainUntilEpochMs: null } : {};
  const also = change.drainUntilEpochMs ? { wakeUntilEpochMs: null } : other;
  res.json(orderObject(pool.key, { ...orders.of(pool.key), ...also, ...change, by }, nowEpochMs));
}

/** A form on a web page cannot be sent as JSON without the browser asking us first. */
export function refusedType(req: Pick<Request, 'headers'>): PilotlightError | null {
  if (/^application\/json\s*(;|$)/i.test(req.headers['content-type'] ?? '')) return null;
  const message = 'An order is JSON: send it with Content-Type: application/json.';
  return new PilotlightError('unsupported_media_type', message);
}

function noPool(key: string): PilotlightError {
  return new PilotlightError('route_not_found', `There is no pool '${shown(key)}'.`, { param: 'pool' });
}
