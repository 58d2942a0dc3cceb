import { createHash } from 'node:crypto';
import type { Express, Request, Response } from 'express';
import { PilotlightError } from '../../../core/errors.ts';
import type { BatchApi, BatchApiDeps } from '../../batch-api.ts';
import { sendEvents } from '../../batches/batch-events.ts';
import {
  BATCH_CHANGES,
  type ChangeName,
  cancelBatch,
  changeBatch,
  createBatch,
  listBatches,
  retryFailed,
  showBatch,
} from '../../batches/batch-handler.ts';
import { sendRows } from '../../batches/batch-rows.ts';
import type { Exchange } from '../../exchange.ts';
import { queryOf } from '../../policy/query.ts';
import { type ExchangeDeps, withBody, withCaller } from '../http-exchange.ts';
import { FILE_METHODS } from './file-routes.ts';

type Deps = ExchangeDeps & { readonly api: BatchApi };
type ById = Request<{ id: string }>;

const CHANGES = Object.keys(BATCH_CHANGES) as readonly ChangeName[];

export const BATCH_METHODS: Readonly<Record<string, string>> = {
  '/v1/batches': 'GET, HEAD, POST',
  '/v1/batches/:id': 'GET, HEAD',
  '/v1/batches/:id/rows': 'GET, HEAD',
  '/v1/batches/:id/events': 'GET, HEAD',
  '/v1/batches/:id/cancel': 'POST',
  '/v1/batches/:id/retry_failed': 'POST',
  ...Object.fromEntries(CHANGES.map((change) => [`/v1/batches/:id/${change}`, 'POST'])),
};

/** Batches as the OpenAI API has them, and what Pilotlight adds. */
export function addBatchRoutes(app: Express, deps: Deps): void {
  type ActById = (handlerDeps: BatchApiDeps, exchange: Exchange, id: string) => Promise<void>;
  const byId = (route: string, handle: ActById) => (req: ById, res: Response) =>
    withCaller(deps, { route, req, res }, (exchange) => handle(deps, exchange, req.params.id));
  app.post('/v1/batches', (req, res) =>
    withBody(deps, { route: '/v1/batches', req, res }, (exchange, body) => {
      const bodyHash = createHash('sha256').update(body).digest('hex');
      return createBatch(deps, exchange, { body, bodyHash, query: queryOf(req.url) });
    }),
  );
  app.get('/v1/batches', (req, res) =>
    withCaller(deps, { route: '/v1/batches', req, res }, (exchange) => listBatches(deps, exchange, queryOf(req.url))),
  );
  app.get('/v1/batches/:id', byId('/v1/batches/{id}', showBatch));
  app.post('/v1/batches/:id/cancel', byId('/v1/batches/{id}/cancel', cancelBatch));
  app.post('/v1/batches/:id/retry_failed', byId('/v1/batches/{id}/retry_failed', retryFailed));
  app.get('/v1/batches/:id/rows', (req, res) =>
    withCaller(deps, { route: '/v1/batches/{id}/rows', req, res }, (exchange) =>
      sendRows(deps, exchange, req.params.id, queryOf(req.url)),
    ),
  );
  addEvents(app, deps);
  for (const change of CHANGES) {
    app.post(`/v1/batches/:id/${change}`, (req: ById, res) =>
      withBody(deps, { route: `/v1/batches/{id}/${change}`, req, res }, (exchange, body) =>
        changeBatch(deps, exchange, { id: req.params.id, change, body }),
      ),
    );
  }
}

/** A stream of events takes the place of a held call: its client waits on a connection alike. */
function addEvents(app: Express, deps: Deps): void {
  app.get('/v1/batches/:id/events', (req: ById, res) =>
    withCaller(deps, { route: '/v1/batches/{id}/events', req, res }, async (exchange) => {
      const hold = deps.budget.hold();
      if (hold instanceof PilotlightError) throw hold;
      try {
        await sendEvents(deps, exchange, req.params.id);
      } finally {
        hold.release();
      }
    }),
  );
}

/** Where files and batches are switched off, all their paths say so to those who may call. */
export function addNoBatchRoutes(app: Express, deps: ExchangeDeps): void {
  for (const path of Object.keys({ ...FILE_METHODS, ...BATCH_METHODS })) {
    app.all(path, (req, res) =>
      withCaller(deps, { route: 'other', req, res }, () => {
        const message = 'This gateway has no files and batches (batches.enabled: false). Send calls or jobs.';
        throw new PilotlightError('batches_disabled', message);
      }),
    );
  }
}
