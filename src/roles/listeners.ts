import type { Registry } from 'prom-client';
import type { CallRunner, WaitAdvisor } from '../core/dispatch.ts';
import type { JobService } from '../core/jobs.ts';
import type { WebhookService } from '../core/notices.ts';
import type { QueueDesks } from '../core/queues.ts';
import type { ReconcileStored } from '../core/stored-work.ts';
import type { RateQuotas, TenantDirectory } from '../core/tenants.ts';
import { createAdminApp } from '../ingress/adapters/admin-app.ts';
import { createPublicApp } from '../ingress/adapters/public-app.ts';
import { uniqueIds } from '../ingress/adapters/unique-ids.ts';
import type { BatchApi } from '../ingress/batch-api.ts';
import type { OpenCalls } from '../ingress/open-calls.ts';
import { systemClock } from '../platform/clock.ts';
import { type HttpServer, startServer } from '../platform/http/server.ts';
import { type Identities, openIdentities } from './identity.ts';
import { ingressSettings } from './ingress-settings.ts';
import type { ProcessOptions } from './process-options.ts';
import type { StatusBoard } from './status-board.ts';
import { requestMemory } from './request-memory.ts';
import { jobEvents } from './stored-work.ts';

interface AdminNeeds {
  readonly registry: Registry;
  readonly board: StatusBoard;
  /** Absent: this process keeps no stored work. */
  readonly reconcile?: ReconcileStored;
  /** Absent: this process serves no queues. */
  readonly queues?: QueueDesks;
}

interface ApiNeeds extends AdminNeeds {
  readonly runner: CallRunner;
  readonly jobs: JobService;
  readonly batchApi: BatchApi | null;
  readonly webhooks: WebhookService | null;
  readonly advisor: WaitAdvisor;
  readonly tenants: TenantDirectory;
  readonly quotas: RateQuotas;
  readonly openCalls: OpenCalls;
}

/** A gateway has no right to change policies, and is given none. */
const AT_CONTROLLER =
  'A gateway takes no orders: send it to the admin Service of the controller (kubectl get service -A -l app.kubernetes.io/component=controller-admin), or use the commands of pilotlight.';

/** The admin listener is opened first and closed last, so that it can tell why the other is not there. */
export async function openListeners(
  options: ProcessOptions,
  needs: ApiNeeds,
): Promise<{ readonly api: HttpServer; readonly admin: HttpServer }> {
  const { config, catalogSource, log } = options;
  const identities = openIdentities(options, needs.registry, options.kube);
  const admin = await openAdmin(options, needs, identities);
  const { registry, runner, jobs, batchApi, webhooks, advisor, tenants, quotas, openCalls, board } = needs;
  const app = createPublicApp({
    catalog: catalogSource,
    runner,
    jobs,
    batchApi,
    webhooks,
    jobEvents: jobEvents(options),
    advisor,
    tenants,
    quotas,
    clock: systemClock,
    ids: uniqueIds(systemClock),
    log,
    settings: ingressSettings(config),
    authenticator: identities.authenticator,
    readiness: board,
    registry,
    openCalls,
    ...requestMemory(options),
  });
  const api = await startServer(app, { ...config.server, portSetting: 'server.port' });
  return { api, admin };
}

/** The only listener of a process without the API. */
export function openAdminListener(options: ProcessOptions, needs: AdminNeeds): Promise<HttpServer> {
  return openAdmin(options, needs, openIdentities(options, needs.registry, options.kube));
}

async function openAdmin(
  { config, catalogSource, orders, log, closers }: ProcessOptions,
  { registry, board, reconcile, queues }: AdminNeeds,
  identities: Identities,
): Promise<HttpServer> {
  const app = createAdminApp({
    readiness: board,
    metrics: { contentType: registry.contentType, metrics: () => registry.metrics() },
    protectMetrics: config.auth.protectMetrics,
    status: board,
    catalog: catalogSource,
    orders,
    ordersElsewhere: config.role === 'gateway' ? AT_CONTROLLER : null,
    authorizer: identities.admin,
    namespace: config.kubernetes.namespace ?? config.namespace,
    ...(reconcile && { reconcile }),
    ...(queues && { queues }),
    clock: systemClock,
    log,
  });
  const admin = await startServer(app, { ...config.admin, portSetting: 'admin.port' });
  closers.add('admin listener', () => admin.close(0));
  return admin;
}
