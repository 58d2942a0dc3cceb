import type { Registry } from 'prom-client';
import type { CallRunner, WaitAdvisor } from '../core/dispatch.ts';
import type { JobService } from '../core/jobs.ts';
import type { KubeApi } from '../core/kubernetes.ts';
import type { PoolOrders } from '../core/pool-orders.ts';
import { createAdminApp } from '../ingress/adapters/admin-app.ts';
import { createPublicApp } from '../ingress/adapters/public-app.ts';
import { uniqueIds } from '../ingress/adapters/unique-ids.ts';
import type { OpenCalls } from '../ingress/open-calls.ts';
import { systemClock } from '../platform/clock.ts';
import { type HttpServer, startServer } from '../platform/http/server.ts';
import { openIdentities } from './identity.ts';
import { ingressSettings } from './ingress-settings.ts';
import type { ProcessOptions } from './process-options.ts';
import type { StatusBoard } from './status-board.ts';

interface ListenerNeeds {
  readonly registry: Registry;
  readonly board: StatusBoard;
  readonly runner: CallRunner;
  readonly jobs: JobService;
  readonly advisor: WaitAdvisor;
  readonly openCalls: OpenCalls;
  /** The API server; absent on one machine. */
  readonly kube?: KubeApi | null;
  /** Absent = the admin listener takes no orders. */
  readonly orders?: PoolOrders | null;
}

/** The admin listener is opened first and closed last, so that it can tell why the other is not there. */
export async function openListeners(
  options: ProcessOptions,
  { registry, board, runner, jobs, advisor, openCalls, kube = null, orders = null }: ListenerNeeds,
): Promise<{ readonly api: HttpServer; readonly admin: HttpServer }> {
  const { config, catalogSource, log, closers } = options;
  const { authenticator, admin: authorizer } = openIdentities(options, registry, kube);
  const metrics = { contentType: registry.contentType, metrics: () => registry.metrics() };
  const adminApp = createAdminApp({
    readiness: board,
    metrics,
    protectMetrics: config.auth.protectMetrics,
    status: board,
    catalog: catalogSource,
    orders,
    authorizer,
    namespace: config.kubernetes.namespace ?? config.namespace,
    clock: systemClock,
    log,
  });
  const admin = await startServer(adminApp, { ...config.admin, portSetting: 'admin.port' });
  closers.add('admin listener', () => admin.close(0));
  const app = createPublicApp({
    catalog: catalogSource,
    runner,
    jobs,
    advisor,
    clock: systemClock,
    ids: uniqueIds(systemClock),
    log,
    settings: ingressSettings(config),
    authenticator,
    readiness: board,
    registry,
    openCalls,
  });
  const api = await startServer(app, { ...config.server, portSetting: 'server.port' });
  return { api, admin };
}
