import type { Registry } from 'prom-client';
import type { CallRunner, WaitAdvisor } from '../core/dispatch.ts';
import type { JobService } from '../core/jobs.ts';
import { createAdminApp } from '../ingress/adapters/admin-app.ts';
import { createAuthenticator } from '../ingress/adapters/authenticator.ts';
import { KeyTable } from '../ingress/adapters/configured-keys.ts';
import { createPublicApp } from '../ingress/adapters/public-app.ts';
import { uniqueIds } from '../ingress/adapters/unique-ids.ts';
import type { OpenCalls } from '../ingress/open-calls.ts';
import { systemClock } from '../platform/clock.ts';
import { type HttpServer, startServer } from '../platform/http/server.ts';
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
}

/** The admin listener is opened first and closed last, so that it can tell why the other is not there. */
export async function openListeners(
  { config, catalogSource, log, closers }: ProcessOptions,
  { registry, board, runner, jobs, advisor, openCalls }: ListenerNeeds,
): Promise<{ readonly api: HttpServer; readonly admin: HttpServer }> {
  const metrics = { contentType: registry.contentType, metrics: () => registry.metrics() };
  const admin = await startServer(createAdminApp({ readiness: board, metrics, status: board, log }), {
    ...config.admin,
    portSetting: 'admin.port',
  });
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
    authenticator: createAuthenticator({
      keys: new KeyTable(config.tenants),
      anonymous: config.auth.anonymous,
      tokens: null,
    }),
    readiness: board,
    registry,
    openCalls,
  });
  const api = await startServer(app, { ...config.server, portSetting: 'server.port' });
  return { api, admin };
}
