import { hostname } from 'node:os';
import type { Config } from '../config/config.ts';
import type { FileCatalogSource } from '../config/objects/file-catalog-source.ts';
import { asError, PilotlightError } from '../core/errors.ts';
import { systemClock } from '../platform/clock.ts';
import { createLogger } from '../platform/logger.ts';
import { announcer } from './announcer.ts';
import { Closers } from './closers.ts';
import type { OpenedProcess } from './gateway.ts';
import { openLocal } from './local.ts';
import type { ProcessBase } from './process-options.ts';
import { openRedisLink } from './redis-link.ts';

export interface ServeOptions {
  readonly config: Config;
  /** Null: the objects are in a cluster. */
  readonly files: FileCatalogSource | null;
  /** Aborts at the first Ctrl-C or SIGTERM: drain, then stop. A second one ends the process at once. */
  readonly signal: AbortSignal;
  readonly version: string;
}

const EXIT_FAILED = 1;
/** Any one step of the shutdown, on top of the time that running calls are given. */
const CLOSE_STEP_MS = 15_000;

/** Runs every role in this process until the signal. Resolves with the exit code once everything has stopped. */
export async function runServe(options: ServeOptions): Promise<number> {
  const { config, version } = options;
  const log = createLogger({ level: config.log.level, fields: { installation: config.installation } });
  const closers = new Closers(log, config.timeouts.drainMs + CLOSE_STEP_MS);
  const signal = AbortSignal.any([options.signal, supervisorGone()]);
  try {
    const redis = await openRedisLink({ config, log, onProgress: (sentence) => announcer.progress(sentence) }, signal);
    closers.add('redis server', () => redis.stopServer());
    closers.add('redis', () => redis.close());
    const base: ProcessBase = {
      config,
      redis,
      owner: `${hostname()}-${process.pid}-${systemClock.epochMs().toString(36)}`,
      log,
      version,
      closers,
    };
    const opened = await openRoles(base, options.files, signal);
    announcer.ready({ ...opened, redisSource: redis.source, version });
    log.info({ api: opened.apiUrl, admin: opened.adminUrl, redis: redis.version }, 'serve.ready');
    await aborted(signal);
    log.info({ reason: asError(signal.reason).message }, 'serve.stopping');
    announcer.progress('Stopping: no new calls; running ones may finish, stored jobs stay stored.');
    return 0;
  } catch (error) {
    if (signal.aborted) return 0;
    announcer.failed(startFailure(error));
    return EXIT_FAILED;
  } finally {
    await closers.closeAll();
    log.info({}, 'serve.stopped');
  }
}

/** The client of the API server is loaded only where there is one: it is a third of the memory of a small gateway. */
async function openRoles(
  base: ProcessBase,
  files: FileCatalogSource | null,
  signal: AbortSignal,
): Promise<OpenedProcess> {
  if (files) return openLocal(base, files);
  const { openInCluster } = await import('./cluster.ts');
  return openInCluster(base, signal);
}

/** A sentence for what a user can mend; the stack for what only we can. */
function startFailure(thrown: unknown): string {
  const error = asError(thrown);
  return error instanceof PilotlightError ? error.message : (error.stack ?? error.message);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** With PILOTLIGHT_EXIT_WITH_PARENT=1 this process ends when the supervisor that started it over IPC is gone. */
function supervisorGone(): AbortSignal {
  const gone = new AbortController();
  if (process.env.PILOTLIGHT_EXIT_WITH_PARENT === '1' && process.send) {
    process.once('disconnect', () => gone.abort(new Error('the supervising process is gone')));
  }
  return gone.signal;
}
