import type { ErrorRequestHandler, Express, RequestHandler, Response } from 'express';
import { errorEnvelope, PilotlightError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import { reportable } from '../exchange.ts';
import type { MetricsSource, ReadinessSource, StatusSource } from '../ports.ts';
import { addHealthRoutes } from './health-routes.ts';
import { plainExpress } from './plain-express.ts';

export interface AdminAppDeps {
  readonly readiness: ReadinessSource;
  readonly metrics: MetricsSource;
  readonly status: StatusSource;
  readonly log: Logger;
}

/** The admin listener: metrics, health and status. It knows no callers, so it belongs on loopback or a cluster network. */
export function createAdminApp({ readiness, metrics, status, log }: AdminAppDeps): Express {
  const app = plainExpress();
  addHealthRoutes(app, readiness);
  app.get('/metrics', async (_req, res) => {
    res.type(metrics.contentType).send(await metrics.metrics());
  });
  app.get('/status', async (_req, res) => {
    res.json(await status.status());
  });
  app.get('/pools/:namespace/:name/decisions', async (req, res) => {
    const pool = `${req.params.namespace}/${req.params.name}`;
    const decisions = await status.decisions(pool);
    if (decisions) res.json({ pool, decisions });
    else sendAdminError(res, new PilotlightError('route_not_found', `There is no pool '${pool}'.`, { param: 'pool' }));
  });
  const notFound: RequestHandler = (req, res) => {
    const message = `Unknown request: ${req.method} ${req.path}. The admin listener has /metrics, /healthz, /readyz, /status.`;
    sendAdminError(res, new PilotlightError('route_not_found', message));
  };
  const broken: ErrorRequestHandler = (thrown: unknown, _req, res, _next) => {
    sendAdminError(res, reportable(thrown, log, 'admin'));
  };
  app.use(notFound, broken);
  return app;
}

function sendAdminError(res: Response, error: PilotlightError): void {
  res.status(error.httpStatus).json(errorEnvelope(error));
}
