import type { Clock } from '../core/clock.ts';
import type { Endpoint, EndpointDirectory, EngineMetrics } from '../core/endpoint.ts';
import { asError } from '../core/errors.ts';
import type { EndpointSlots, SlotLedger } from '../core/live-order.ts';
import type { Logger } from '../core/logger.ts';
import type { PoolKey } from '../core/objects.ts';
import type { DispatcherMetrics } from './metrics.ts';
import { type FailureReason, failureRule } from './policy/failure.ts';
import { AUTO_START, limitAmong } from './policy/learned-limit.ts';
import {
  afterFault,
  afterProbe,
  afterScrape,
  afterSuccess,
  afterTick,
  freshSlots,
  isProbeDue,
  openSlots,
  recalled,
  reconfigured,
  type SlotState,
} from './policy/slots.ts';
import type { EndpointHealth, ModelServer, PublishRight } from './ports.ts';
import { SlotsPublisher } from './slots-publisher.ts';

/** How often slow start and quarantine look at the clock. */
const TICK_EVERY_MS = 500;
const PROBE_TIMEOUT_MS = 1_000;
/** A ledger that does not tell by then is published without what it knew. */
const RECALL_WITHIN_MS = 1_000;

export interface SlotsLoopDeps {
  readonly pool: PoolKey;
  readonly directory: EndpointDirectory;
  /** With `snapshot` it is asked once, at the start, for what was learned before. */
  readonly ledger: Pick<SlotLedger, 'setEndpoints' | 'forgetEndpoints'> & Partial<Pick<SlotLedger, 'snapshot'>>;
  /** Absent: this process is the only gateway. */
  readonly right?: PublishRight;
  readonly modelServer: Pick<ModelServer, 'probe'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: DispatcherMetrics;
}

interface Sized {
  endpoint: Endpoint;
  slots: SlotState;
  probing: boolean;
}

/**
 * Keeps the ledger's slots of one pool at what each endpoint can carry. Hears of the directory, of every attempt and of
 * every scrape; policy/slots.ts decides; the ledger is told at most once per turn of the event loop.
 */
export class SlotsLoop implements EndpointHealth {
  readonly #deps: SlotsLoopDeps;
  readonly #publisher: SlotsPublisher;
  readonly #closing = new AbortController();
  readonly #unsubscribe: () => void;
  #endpoints: ReadonlyMap<string, Sized> = new Map();
  /** Slots that the ledger had of endpoints before this process said anything. */
  #before: ReadonlyMap<string, number> = new Map();

  constructor(deps: SlotsLoopDeps) {
    this.#deps = deps;
    const ready = deps.ledger.snapshot ? this.#recall() : null;
    this.#publisher = new SlotsPublisher({ ...deps, ready, wanted: () => this.#wanted() });
    this.#unsubscribe = deps.directory.onChange((pool) => {
      if (pool === deps.pool) this.#refresh();
    });
    this.#refresh();
    void this.#tick();
  }

  /** An attempt ended. Costs nothing for an endpoint that is past its slow start and well. */
  report(endpointId: string, result: 'ok' | FailureReason): void {
    const nowMs = this.#deps.clock.monotonicMs();
    this.#change(endpointId, (state) =>
      result === 'ok' ? afterSuccess(state, nowMs) : afterFault(state, failureRule(result).fault, nowMs),
    );
  }

  isOpen(endpointId: string): boolean {
    const sized = this.#endpoints.get(endpointId);
    return sized !== undefined && openSlots(sized.slots) > 0;
  }

  /** A scrape came in. */
  observe(observation: {
    readonly endpointId: string;
    readonly metrics: EngineMetrics;
    /** Monotonic; absent = now. */
    readonly startedAtMonotonicMs?: number;
  }): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const { endpointId, metrics, startedAtMonotonicMs = nowMs } = observation;
    this.#change(endpointId, (state) => afterScrape(state, metrics, nowMs, startedAtMonotonicMs));
  }

  /** The ledger has lost its state (new incarnation): tell it everything again. */
  resend(): void {
    this.#publisher.resend();
  }

  close(): void {
    this.#closing.abort();
    this.#unsubscribe();
    this.#publisher.close();
  }

  #refresh(): void {
    const { clock, directory, pool } = this.#deps;
    const nowMs = clock.monotonicMs();
    const sized = directory.list(pool).map((endpoint): [string, Sized] => {
      const known = this.#endpoints.get(endpoint.id);
      if (known) {
        known.endpoint = endpoint;
        known.slots = reconfigured(known.slots, endpoint.slotsPerEndpoint);
        return [endpoint.id, known];
      }
      const readyForMs = clock.epochMs() - endpoint.readyAtEpochMs;
      const fresh = freshSlots(endpoint.slotsPerEndpoint, readyForMs, nowMs, this.#learnedBy(endpoint.target));
      return [endpoint.id, { endpoint, slots: recalled(fresh, this.#before.get(endpoint.id) ?? 0), probing: false }];
    });
    this.#endpoints = new Map(sized);
    this.#publisher.changed();
  }

  /** Replicas of one target run the same command on the same hardware: a new one need not begin from nothing. */
  #learnedBy(target: string): number {
    const others = [...this.#endpoints.values()].filter(
      ({ endpoint, slots }) => endpoint.target === target && slots.auto && slots.ramp === null && !slots.quarantine,
    );
    return others.length === 0 ? AUTO_START : limitAmong(others.map(({ slots }) => slots.limit));
  }

  /** Never rejects. */
  async #recall(): Promise<void> {
    const { ledger, clock, log, pool } = this.#deps;
    const given = clock.sleep(RECALL_WITHIN_MS, this.#closing.signal).catch(() => undefined);
    const told = Promise.resolve(ledger.snapshot?.()).catch((thrown: unknown) => {
      log.debug({ pool, err: asError(thrown) }, 'slots.not_recalled');
    });
    const snapshot = await Promise.race([told, given]);
    if (!snapshot) return;
    this.#before = new Map(snapshot.endpoints.map(({ id, slots }) => [id, slots]));
    for (const [id, slots] of this.#before) this.#change(id, (state) => recalled(state, slots));
  }

  #change(endpointId: string, next: (state: SlotState) => SlotState): void {
    const sized = this.#endpoints.get(endpointId);
    if (!sized) return;
    const before = sized.slots;
    sized.slots = next(before);
    if (sized.slots === before) return;
    if (sized.slots.quarantine && !before.quarantine) {
      const { pool, log, clock } = this.#deps;
      const forMs = Math.round(sized.slots.quarantine.untilMs - clock.monotonicMs());
      log.warn({ pool, endpoint: endpointId, forMs, faults: sized.slots.faults }, 'endpoint.quarantined');
    }
    if (openSlots(sized.slots) !== openSlots(before) || sized.slots.noAdapters !== before.noAdapters) {
      this.#publisher.changed();
    }
  }

  /** Draining endpoints keep their place with no slots: what runs there is still counted. */
  #wanted(): readonly EndpointSlots[] {
    const { metrics, pool } = this.#deps;
    let open = 0;
    let full = 0;
    let quarantined = 0;
    const wanted = [...this.#endpoints.values()].map(({ endpoint, slots }): EndpointSlots => {
      const now = endpoint.draining ? 0 : openSlots(slots);
      open += now;
      full += slots.limit;
      quarantined += slots.quarantine ? 1 : 0;
      return { id: endpoint.id, slots: now, adapters: slots.noAdapters ? [] : null };
    });
    metrics.endpointSlots.set({ pool, state: 'open' }, open);
    metrics.endpointSlots.set({ pool, state: 'full' }, full);
    metrics.quarantinedEndpoints.set({ pool }, quarantined);
    return wanted;
  }

  async #tick(): Promise<void> {
    const { clock } = this.#deps;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      await clock.sleep(TICK_EVERY_MS, signal).catch(() => undefined);
      const nowMs = clock.monotonicMs();
      for (const [id, sized] of this.#endpoints) {
        this.#change(id, (state) => afterTick(state, nowMs));
        if (isProbeDue(sized.slots, nowMs) && !sized.probing) void this.#probe(id, sized);
      }
    }
  }

  async #probe(endpointId: string, sized: Sized): Promise<void> {
    sized.probing = true;
    const alive = await this.#deps.modelServer.probe(sized.endpoint.url, PROBE_TIMEOUT_MS);
    sized.probing = false;
    if (this.#closing.signal.aborted) return;
    this.#change(endpointId, (state) => afterProbe(state, alive, this.#deps.clock.monotonicMs()));
    if (alive) this.#deps.log.info({ pool: this.#deps.pool, endpoint: endpointId }, 'endpoint.reopened');
  }
}
