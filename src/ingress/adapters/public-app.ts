import type { ErrorRequestHandler, Express, Request, RequestHandler, Response } from 'express';
import type { Registry } from 'prom-client';
import { API_PATHS } from '../../core/call.ts';
import { PilotlightError } from '../../core/errors.ts';
import type { WebhookService } from '../../core/notices.ts';
import type { BatchApi } from '../batch-api.ts';
import { answerCall } from '../call-handler.ts';
import { type Exchange, reportable, sendError } from '../exchange.ts';
import { HeldBudget } from '../held-budget.ts';
import { cancelJob, showJob, showJobResult, submitJob } from '../job-handler.ts';
import { ingressMetrics } from '../metrics.ts';
import { listModels, showModel } from '../model-handler.ts';
import { saneRequestId } from '../policy/answer-headers.ts';
import { parseJobSubmission } from '../policy/job-submission.ts';
import { parsePrefer } from '../policy/prefer.ts';
import { addBatchRoutes, addNoBatchRoutes, BATCH_METHODS } from './batch/batch-routes.ts';
import { addFileRoutes, FILE_METHODS } from './batch/file-routes.ts';
import { addHealthRoutes } from './health-routes.ts';
import { type ExchangeDeps, withBody, withCaller } from './http-exchange.ts';
import { plainExpress } from './plain-express.ts';
import { addResponseRoutes, RESPONSE_METHODS } from './response-routes.ts';
import { addWebhookRoutes, WEBHOOK_METHODS } from './webhooks/webhook-routes.ts';

export interface PublicAppDeps extends Omit<ExchangeDeps, 'metrics' | 'budget'> {
  readonly registry: Registry;
  /** Files, uploads and batches; absent or null where they are switched off. */
  readonly batchApi?: BatchApi | null;
  /** Absent or null where they are switched off. */
  readonly webhooks?: WebhookService | null;
}

/** The public listener: OpenAI paths, jobs, models and health. One instance per registry, which gets its metrics. */
export function createPublicApp(publicDeps: PublicAppDeps): Express {
  const budget = new HeldBudget(publicDeps.settings);
  const deps: ExchangeDeps = { ...publicDeps, budget, metrics: ingressMetrics(publicDeps.registry, budget) };
  const app = plainExpress();
  // First, because express tries routes in order and these carry the load.
  for (const path of API_PATHS) {
    app.post(path, (req, res) =>
      withBody(deps, { route: path, req, res }, (exchange, body) => answerCall(deps, path, exchange, body)),
    );
  }
  addJobRoutes(app, deps);
  addResponseRoutes(app, deps);
  app.get('/v1/models', (req, res) =>
    withCaller(deps, { route: '/v1/models', req, res }, (exchange) => listModels(deps, exchange)),
  );
  // Model names may contain slashes.
  app.get('/v1/models/*id', (req, res) =>
    withCaller(deps, { route: '/v1/models/{id}', req, res }, (exchange) =>
      showModel(deps, exchange, req.params.id.join('/')),
    ),
  );
  const api = publicDeps.batchApi;
  if (api) {
    addFileRoutes(app, { ...deps, api });
    addBatchRoutes(app, { ...deps, api });
  } else {
    addNoBatchRoutes(app, deps);
  }
  const { webhooks } = publicDeps;
  if (webhooks) addWebhookRoutes(app, { ...deps, webhooks });
  addHealthRoutes(app, deps.readiness);
  addRefusals(app, deps);
  return app;
}

function addJobRoutes(app: Express, deps: ExchangeDeps): void {
  app.post('/v1/jobs', (req, res) =>
    withBody(deps, { route: '/v1/jobs', req, res }, (exchange, body) => {
      const submission = parseJobSubmission(body);
      if (!(submission instanceof PilotlightError)) {
        return submitJob(deps, exchange, submission, parsePrefer(exchange.headers.prefer));
      }
      sendError(exchange, deps.metrics, submission);
      return Promise.resolve();
    }),
  );
  type JobHandler = (handlerDeps: ExchangeDeps, exchange: Exchange, id: string) => Promise<void>;
  const job = (route: string, handle: JobHandler) => (req: Request<{ id: string }>, res: Response) =>
    withCaller(deps, { route, req, res }, (exchange) => handle(deps, exchange, req.params.id));
  app.get('/v1/jobs/:id', job('/v1/jobs/{id}', showJob));
  app.delete('/v1/jobs/:id', job('/v1/jobs/{id}', cancelJob));
  app.get('/v1/jobs/:id/result', job('/v1/jobs/{id}/result', showJobResult));
  app.post('/v1/jobs/:id/cancel', job('/v1/jobs/{id}/cancel', cancelJob));
}

const METHODS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(API_PATHS.map((path) => [path, 'POST'])),
  ...RESPONSE_METHODS,
  '/v1/jobs': 'POST',
  '/v1/jobs/:id': 'GET, HEAD, DELETE',
  '/v1/jobs/:id/result': 'GET, HEAD',
  '/v1/jobs/:id/cancel': 'POST',
  ...FILE_METHODS,
  ...BATCH_METHODS,
  ...WEBHOOK_METHODS,
  '/v1/models': 'GET, HEAD',
  '/v1/models/*id': 'GET, HEAD',
  '/healthz': 'GET, HEAD',
  '/readyz': 'GET, HEAD',
};

/** What no route took: a wrong method, an unknown path, a path that cannot be read. */
function addRefusals(app: Express, deps: ExchangeDeps): void {
  const refuse = (req: Request, res: Response, error: PilotlightError, headers: Record<string, string> = {}) => {
    const requestId = saneRequestId(req.headers['x-request-id']) ?? deps.ids.requestId();
    deps.metrics.requests.inc({ path: 'other', status_class: `${Math.floor(error.httpStatus / 100)}xx` });
    sendError({ requestId, writer: res }, deps.metrics, error, headers);
  };
  for (const [path, allow] of Object.entries(METHODS)) {
    app.all(path, (req, res) => {
      const message = `${req.method} is not possible on ${path}; use ${allow}.`;
      refuse(req, res, new PilotlightError('method_not_allowed', message), { allow });
    });
  }
  const notFound: RequestHandler = (req, res) => {
    const message = `Unknown request: ${req.method} ${req.path.slice(0, 128)}. See docs/http-api.md for what exists.`;
    refuse(req, res, new PilotlightError('route_not_found', message));
  };
  const broken: ErrorRequestHandler = (thrown: unknown, req, res, _next) => {
    const error =
      thrown instanceof URIError
        ? new PilotlightError('invalid_value', 'The path has a broken percent escape.', { param: 'path' })
        : reportable(thrown, deps.log, 'unknown');
    refuse(req, res, error);
  };
  app.use(notFound, broken);
}
