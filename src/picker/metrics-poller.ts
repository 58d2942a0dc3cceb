import type { Clock } from '../core/clock.ts';
import type { Endpoint, EndpointDirectory, EngineMetrics } from '../core/endpoint.ts';
import { asError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { PoolKey } from '../core/objects.ts';
import type { Random } from '../core/random.ts';
import type { PickerMetrics } from './metrics.ts';
import { readEngineMetrics } from './policy/engines.ts';
import { DEFAULT_POLL_INTERVALS, nextPollMs, type PollIntervals } from './policy/poll-plan.ts';
import type { EngineObservation, MetricsSource } from './ports.ts';

/** An endpoint of which no scrape told anything for so long is silent: its readers count for themselves. */
const SILENT_AFTER_MS = 10_000;

export interface MetricsPollerDeps {
  readonly pool: PoolKey;
  readonly directory: EndpointDirectory;
  readonly source: MetricsSource;
  /** Whether a call of this process runs there now. */
  readonly isBusy: (endpointId: string) => boolean;
  readonly onObservation: (observation: EngineObservation) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: PickerMetrics;
  readonly intervals?: PollIntervals;
}

/**
 * Scrapes every endpoint of one pool, one request in flight each, for as long as the directory lists it. An idle
 * endpoint that becomes busy is scraped fast from its next turn on. A scrape that fails changes nothing: the last
 * observation stays until it is stale, and then its readers fall back to what they count themselves. An endpoint that tells
 * nothing for ten seconds is said once, and counted.
 */
export class MetricsPoller {
  readonly #deps: MetricsPollerDeps;
  readonly #intervals: PollIntervals;
  readonly #loops = new Map<string, AbortController>();
  /** Endpoints that are listed and tell nothing. */
  readonly #silent = new Set<string>();
  readonly #unsubscribe: () => void;

  constructor(deps: MetricsPollerDeps) {
    this.#deps = deps;
    this.#intervals = deps.intervals ?? DEFAULT_POLL_INTERVALS;
    this.#unsubscribe = deps.directory.onChange((pool) => {
      if (pool === deps.pool) this.#refresh();
    });
    this.#refresh();
  }

  /** Stops every loop; a scrape in flight is cut. */
  close(): void {
    this.#unsubscribe();
    for (const loop of this.#loops.values()) loop.abort();
    this.#loops.clear();
  }

  #refresh(): void {
    const listed = this.#deps.directory.list(this.#deps.pool);
    const ids = new Set(listed.map(({ id }) => id));
    for (const [id, loop] of this.#loops) {
      if (ids.has(id)) continue;
      loop.abort();
      this.#loops.delete(id);
      this.#deps.metrics.forgetEndpoint(this.#deps.pool, id);
      this.#silent.delete(id);
    }
    this.#countSilent();
    for (const endpoint of listed) {
      if (this.#loops.has(endpoint.id)) continue;
      const loop = new AbortController();
      this.#loops.set(endpoint.id, loop);
      void this.#poll(endpoint, loop.signal);
    }
  }

  async #poll(endpoint: Endpoint, signal: AbortSignal): Promise<void> {
    const { clock, random, isBusy } = this.#deps;
    let failures = 0;
    let toldAtMs = clock.monotonicMs();
    while (!signal.aborted) {
      const told = await this.#scrape(endpoint, signal, failures);
      failures = told ? 0 : failures + 1;
      if (told) toldAtMs = clock.monotonicMs();
      this.#note(endpoint.id, clock.monotonicMs() - toldAtMs);
      const pauseMs = nextPollMs(this.#intervals, isBusy(endpoint.id), failures, random.next());
      await clock.sleep(pauseMs, signal).catch(() => undefined);
    }
  }

  async #scrape(endpoint: Endpoint, signal: AbortSignal, failures: number): Promise<boolean> {
    const { clock, source, pool, metrics, log } = this.#deps;
    const startedAtEpochMs = clock.epochMs();
    const startedAtMonotonicMs = clock.monotonicMs();
    try {
      const engine = readEngineMetrics(await source.scrape(endpoint.url, signal));
      if (signal.aborted) return true;
      metrics.scrapesTotal.inc({ pool, result: engine ? 'ok' : 'unknown_engine' });
      if (engine) {
        this.#report(endpoint.id, engine);
        this.#deps.onObservation({ endpointId: endpoint.id, metrics: engine, startedAtEpochMs, startedAtMonotonicMs });
      }
      return engine !== null;
    } catch (thrown) {
      if (signal.aborted) return true;
      metrics.scrapesTotal.inc({ pool, result: 'failed' });
      if (failures === 0) log.debug({ pool, endpoint: endpoint.id, err: asError(thrown) }, 'scrape.failed');
      return false;
    }
  }

  #note(endpointId: string, quietForMs: number): void {
    const { pool, log } = this.#deps;
    const isSilent = quietForMs >= SILENT_AFTER_MS;
    if (!this.#loops.has(endpointId) || isSilent === this.#silent.has(endpointId)) return;
    if (isSilent) {
      this.#silent.add(endpointId);
      log.warn({ pool, endpoint: endpointId, quietForMs: Math.round(quietForMs) }, 'scrape.silent');
    } else {
      this.#silent.delete(endpointId);
      log.info({ pool, endpoint: endpointId }, 'scrape.heard_again');
    }
    this.#countSilent();
  }

  #countSilent(): void {
    this.#deps.metrics.silentEndpoints.set({ pool: this.#deps.pool }, this.#silent.size);
  }

  #report(endpointId: string, engine: EngineMetrics): void {
    const { pool, metrics } = this.#deps;
    metrics.queueSize.set({ name: pool, model_server_pod: endpointId }, engine.waitingRequests);
  }
}
