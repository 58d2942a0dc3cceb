import { PilotlightError } from '../core/errors.ts';
import { type Exchange, type HandlerDeps, sendError, sendJson } from './exchange.ts';
import { shown } from './policy/fields.ts';
import { visibleModels } from './policy/route-call.ts';

/** GET /v1/models: every model the caller may use, those of sleeping pools included. */
export function listModels({ catalog }: HandlerDeps, exchange: Exchange): void {
  const data = visibleModels({ catalog: catalog.current(), identity: exchange.identity }).map(modelObject);
  sendJson(exchange, 200, { object: 'list', data });
}

/** GET /v1/models/{id} */
export function showModel({ catalog, metrics }: HandlerDeps, exchange: Exchange, id: string): void {
  const model = visibleModels({ catalog: catalog.current(), identity: exchange.identity }).find(
    (entry) => entry.name === id,
  );
  if (model) {
    sendJson(exchange, 200, modelObject(model));
  } else {
    const message = `The model '${shown(id)}' does not exist.`;
    sendError(exchange, metrics, new PilotlightError('model_not_found', message, { param: 'model' }));
  }
}

function modelObject(entry: { name: string; createdAtEpochMs: number }): object {
  return {
    id: entry.name,
    object: 'model',
    created: Math.floor(entry.createdAtEpochMs / 1_000),
    owned_by: 'pilotlight',
  };
}
