import { Registry } from 'prom-client';
import type { Clock } from '../../../src/core/clock.ts';
import type { CallRunner } from '../../../src/core/dispatch.ts';
import type { RequestKeys } from '../../../src/core/idempotency.ts';
import type { Identity } from '../../../src/core/identity.ts';
import type { JobService } from '../../../src/core/jobs.ts';
import type { Catalog } from '../../../src/core/objects.ts';
import { EQUAL_TENANTS, type RateQuotas } from '../../../src/core/tenants.ts';
import { createAuthenticator } from '../../../src/ingress/adapters/authenticator.ts';
import { KeyTable, keyHash, type TenantKeys } from '../../../src/ingress/adapters/configured-keys.ts';
import { MemoryArrivals } from '../../../src/ingress/adapters/idempotency/kept-arrivals.ts';
import { MemoryRequestKeys } from '../../../src/ingress/adapters/idempotency/memory-request-keys.ts';
import { createPublicApp } from '../../../src/ingress/adapters/public-app.ts';
import { uniqueIds } from '../../../src/ingress/adapters/unique-ids.ts';
import type { BatchApi } from '../../../src/ingress/batch-api.ts';
import { OpenCalls } from '../../../src/ingress/open-calls.ts';
import type { Authenticator, Readiness } from '../../../src/ingress/ports.ts';
import { DEFAULT_INGRESS_SETTINGS, type IngressSettings } from '../../../src/ingress/settings.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { type HttpServer, startServer } from '../../../src/platform/http/server.ts';
import { createLogger, type LogLevel } from '../../../src/platform/logger.ts';
import { fakeCatalog, identity } from '../../unit/ingress/support/fake-catalog.ts';
import { FakeJobEvents } from '../../unit/ingress/support/fake-job-events.ts';
import { FakeJobs } from '../../unit/ingress/support/fake-jobs.ts';
import { FakeRunner } from '../../unit/ingress/support/fake-runner.ts';

export const API_KEY = 'sk-acme';
export const GATEWAY_KEY = 'sk-gateway';

export interface Rig {
  readonly url: string;
  readonly runner: FakeRunner;
  readonly jobs: FakeJobs;
  readonly jobEvents: FakeJobEvents;
  readonly registry: Registry;
  readonly logLines: string[];
  readiness: Readiness;
  metric(name: string): Promise<number>;
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Response>;
  get(path: string, headers?: Record<string, string>): Promise<Response>;
  close(): Promise<void>;
}

interface RigOptions {
  readonly settings?: Partial<IngressSettings>;
  readonly tenants?: readonly TenantKeys[];
  readonly anonymous?: Identity | null;
  /** Instead of tenants with keys. */
  readonly authenticator?: Authenticator;
  readonly clock?: Clock;
  readonly requestTimeoutMs?: number;
  readonly logLevel?: LogLevel;
  readonly catalog?: Catalog;
  readonly batchApi?: BatchApi;
  /** What is told of rates; to hold calls to them give a `runner` that does. */
  readonly quotas?: Pick<RateQuotas, 'state'>;
  readonly keys?: RequestKeys;
  readonly registry?: Registry;
  /** Instead of the fake ones that the rig shows. */
  readonly runner?: CallRunner;
  readonly submit?: JobService['submit'];
  readonly openCalls?: OpenCalls;
}

const TENANTS: readonly TenantKeys[] = [
  { identity: identity(), keys: [keyHash(API_KEY)] },
  { identity: identity({ tenant: 'gateway', trusted: true }), keys: [keyHash(GATEWAY_KEY)] },
];

/** The public app on a free port, with fakes behind it. */
export async function startRig(options: RigOptions = {}): Promise<Rig> {
  const clock = options.clock ?? systemClock;
  const registry = options.registry ?? new Registry();
  const runner = new FakeRunner();
  const jobs = new FakeJobs();
  if (options.submit) jobs.submit = options.submit;
  const jobEvents = new FakeJobEvents();
  const logLines: string[] = [];
  const state: { readiness: Readiness } = { readiness: { kind: 'ready' } };
  const catalog = options.catalog ?? fakeCatalog();
  const app = createPublicApp({
    openCalls: options.openCalls ?? new OpenCalls(),
    authenticator:
      options.authenticator ??
      createAuthenticator({
        keys: new KeyTable(options.tenants ?? TENANTS),
        anonymous: options.anonymous ?? null,
        tokens: null,
      }),
    readiness: { readiness: () => state.readiness },
    catalog: { current: () => catalog, onChange: () => () => undefined },
    tenants: EQUAL_TENANTS,
    runner: options.runner ?? runner,
    jobs,
    jobEvents,
    advisor: {
      status: (_pool, _objective, position) => ({ position, phase: 'queued', etaMs: 2_500 }),
      retryAfterMs: () => 7_000,
      capacity: () => ({ canCome: true }),
    },
    clock,
    ids: uniqueIds(clock),
    log: createLogger({
      level: options.logLevel ?? 'debug',
      destination: { write: (line) => void logLines.push(line) },
    }),
    settings: { ...DEFAULT_INGRESS_SETTINGS, ...options.settings },
    registry,
    keys: options.keys ?? new MemoryRequestKeys(clock),
    arrivals: new MemoryArrivals(clock),
    batchApi: options.batchApi ?? null,
    ...(options.quotas && { quotas: options.quotas }),
  });
  const server: HttpServer = await startServer(app, {
    host: '127.0.0.1',
    port: 0,
    portSetting: 'listen.port',
    ...(options.requestTimeoutMs !== undefined && {
      requestTimeoutMs: options.requestTimeoutMs,
      headersTimeoutMs: options.requestTimeoutMs,
    }),
  });
  const defaults = { authorization: `Bearer ${API_KEY}` };
  return {
    url: server.url,
    runner,
    jobs,
    jobEvents,
    registry,
    logLines,
    get readiness() {
      return state.readiness;
    },
    set readiness(readiness) {
      state.readiness = readiness;
    },
    async metric(name) {
      const metric = await registry.getSingleMetric(name)?.get();
      return (metric?.values ?? []).reduce((sum, sample) => sum + sample.value, 0);
    },
    post: (path, body, headers = {}) =>
      fetch(server.url + path, {
        method: 'POST',
        headers: { ...defaults, 'content-type': 'application/json', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    get: (path, headers = {}) => fetch(server.url + path, { headers: { ...defaults, ...headers } }),
    close: () => server.close(0),
  };
}

/** Polls until the condition holds; throws after ten seconds. */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > deadlineMs) throw new Error(`waited too long for: ${what}`);
    await systemClock.sleep(5);
  }
}
