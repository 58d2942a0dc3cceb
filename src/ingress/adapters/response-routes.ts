import type { Express, Request, Response } from 'express';
import { PilotlightError } from '../../core/errors.ts';
import { type Exchange, sendError } from '../exchange.ts';
import { queryOf } from '../policy/query.ts';
import { cancelResponse, deleteResponse, listInputItems, showResponse } from '../responses/show-response.ts';
import { type ExchangeDeps, withCaller } from './http-exchange.ts';

type ResponseHandler = (deps: ExchangeDeps, exchange: Exchange, id: string, query: URLSearchParams) => Promise<void>;

/** What can be done with a background response. POST /v1/responses is a call like the others. */
export function addResponseRoutes(app: Express, deps: ExchangeDeps): void {
  const one = (route: string, handle: ResponseHandler) => (req: Request<{ id: string }>, res: Response) =>
    withCaller(deps, { route, req, res }, (exchange) => handle(deps, exchange, req.params.id, queryOf(req.url)));
  app.get('/v1/responses/:id', one('/v1/responses/{id}', heldFor(showResponse)));
  app.delete('/v1/responses/:id', one('/v1/responses/{id}', deleteResponse));
  app.post('/v1/responses/:id/cancel', one('/v1/responses/{id}/cancel', cancelResponse));
  app.get('/v1/responses/:id/input_items', one('/v1/responses/{id}/input_items', listInputItems));
}

/** The methods of each path, for those who use another. */
export const RESPONSE_METHODS = {
  '/v1/responses/:id': 'GET, HEAD, DELETE',
  '/v1/responses/:id/cancel': 'POST',
  '/v1/responses/:id/input_items': 'GET, HEAD',
} as const;

/** A reader who follows a stream takes a place among the held calls. */
function heldFor(handle: ResponseHandler): ResponseHandler {
  return async (deps, exchange, id, query) => {
    const hold = deps.budget.hold();
    if (hold instanceof PilotlightError) {
      sendError(exchange, deps.metrics, hold);
      return;
    }
    try {
      await handle(deps, exchange, id, query);
    } finally {
      hold.release();
    }
  };
}
