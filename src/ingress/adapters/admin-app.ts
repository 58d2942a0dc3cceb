import type { ErrorRequestHandler, Express, Request, RequestHandler, Response } from 'express';
import { errorEnvelope, PilotlightError } from '../../core/errors.ts';
import type { StatusReport } from '../../core/status.ts';
import type { ReconcileStored } from '../../core/stored-work.ts';
import { formatBytes } from '../../core/units.ts';
import { reportable } from '../exchange.ts';
import { errorAnswer } from '../policy/error-answer.ts';
import type { CallHeaders, MetricsSource, ReadinessSource } from '../ports.ts';
import { type AdminPoolsDeps, addPoolRoutes } from './admin-pools.ts';
import { type AdminQueuesDeps, addQueueRoutes } from './admin-queues.ts';
import { addHealthRoutes } from './health-routes.ts';
import { plainExpress } from './plain-express.ts';

export interface AdminAppDeps extends AdminPoolsDeps, AdminQueuesDeps {
  readonly readiness: ReadinessSource;
  readonly metrics: MetricsSource;
  /** Whether /metrics is for authorised callers only. /healthz and /readyz never are: probes have no token. */
  readonly protectMetrics: boolean;
  /** Where somebody must be allowed to list policies to see the status of an installation without pools. */
  readonly namespace: string;
  /** Absent or null = no stored work here. */
  readonly reconcile?: ReconcileStored | null;
}

/** The admin listener: metrics, health, status, and orders for pools. */
export function createAdminApp(deps: AdminAppDeps): Express {
  const { readiness, metrics, status, log, authorizer, protectMetrics } = deps;
  const app = plainExpress();
  addHealthRoutes(app, readiness);
  app.get('/metrics', async (req, res) => {
    const allowed = protectMetrics ? await authorizer.authorize(req.headers, { kind: 'metrics' }) : null;
    if (allowed instanceof PilotlightError) sendAdminError(res, allowed);
    else res.type(metrics.contentType).send(await metrics.metrics());
  });
  app.get('/status', async (req, res) => {
    const report = await visibleReport(deps, req.headers, await status.status());
    if (report instanceof PilotlightError) sendAdminError(res, report);
    else res.json(report);
  });
  addPoolRoutes(app, deps, sendAdminError);
  addQueueRoutes(app, deps, sendAdminError);
  app.post('/reconcile', (req, res) => reconcile(deps, req, res));
  const notFound: RequestHandler = (req, res) => {
    const message =
      `Unknown request: ${req.method} ${req.path.slice(0, 128)}. ` +
      'The admin listener has /metrics, /healthz, /readyz, /status, /reconcile, /queues and /pools/NAMESPACE/NAME/…; see docs/http-api.md.';
    sendAdminError(res, new PilotlightError('route_not_found', message));
  };
  const broken: ErrorRequestHandler = (thrown: unknown, _req, res, _next) => {
    sendAdminError(res, unreadable(thrown) ?? reportable(thrown, log, 'admin'));
  };
  app.use(notFound, broken);
  return app;
}

/** POST /reconcile: compares the store with Redis and answers when that is done. */
async function reconcile(
  { authorizer, namespace, reconcile: run = null, log }: AdminAppDeps,
  req: Request,
  res: Response,
): Promise<void> {
  const action = { kind: 'policy', verb: 'reconcile', namespace, name: null } as const;
  const allowed = await authorizer.authorize(req.headers, action);
  if (allowed instanceof PilotlightError) {
    sendAdminError(res, allowed);
    return;
  }
  if (run === null) {
    const message = 'This process keeps no stored work; ask a gateway with jobs.enabled.';
    sendAdminError(res, new PilotlightError('jobs_disabled', message));
    return;
  }
  const gone = new AbortController();
  res.once('close', () => gone.abort(new Error('the caller is gone')));
  const summary = await run(gone.signal);
  log.info({ by: allowed.by, ...summary.jobs, batches: summary.batches?.repaired ?? 0 }, 'reconcile.asked_for');
  res.json({ object: 'reconcile', ...summary });
}

/** The report with the pools of those namespaces whose policies the caller may list; a refusal if there are none. */
async function visibleReport(
  { authorizer, namespace: home }: AdminAppDeps,
  headers: CallHeaders,
  report: StatusReport,
): Promise<StatusReport | PilotlightError> {
  const namespaces = new Set(report.pools.map(({ pool }) => namespaceOf(pool)));
  if (namespaces.size === 0) namespaces.add(home);
  const visible = new Set<string>();
  let refusal: PilotlightError | null = null;
  for (const namespace of namespaces) {
    const allowed = await authorizer.authorize(headers, { kind: 'policy', verb: 'list', namespace, name: null });
    if (!(allowed instanceof PilotlightError)) visible.add(namespace);
    else if (allowed.code === 'admin_forbidden') refusal ??= allowed;
    else return allowed;
  }
  if (visible.size === 0 && refusal) return refusal;
  return { ...report, pools: report.pools.filter(({ pool }) => visible.has(namespaceOf(pool))) };
}

function namespaceOf(pool: string): string {
  return pool.slice(0, pool.indexOf('/'));
}

/** What express's JSON reader did not like; null for everything else. */
function unreadable(thrown: unknown): PilotlightError | null {
  const { type, status, limit } = (thrown ?? {}) as { type?: unknown; status?: unknown; limit?: unknown };
  if (thrown instanceof URIError) {
    return new PilotlightError('invalid_value', 'The path has a broken percent escape.', { param: 'path' });
  }
  if (type === 'entity.too.large') {
    return new PilotlightError('body_too_large', `This order has at most ${formatBytes(Number(limit))} bytes.`);
  }
  if (status === 415) return new PilotlightError('unsupported_media_type', 'Send the order as JSON in UTF-8.');
  return status === 400 ? new PilotlightError('invalid_json', 'The body is not valid JSON.') : null;
}

function sendAdminError(res: Response, error: PilotlightError): void {
  res.status(error.httpStatus).set(errorAnswer(error).headers).json(errorEnvelope(error));
}
