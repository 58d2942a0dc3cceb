import type { EngineMetrics } from '../../core/endpoint.ts';
import type { EndpointFault } from './failure.ts';
import { AUTO_MAX, AUTO_START, CUT_EVERY_MS, CUT_RATIO, type LearnedLimit, learned } from './learned-limit.ts';

/**
 * How many calls one endpoint may carry at once. Pure: each function takes a state and returns the next one (the same
 * object when nothing changes).
 *
 * | state       | slots                         | leaves by                                                              |
 * | ----------- | ----------------------------- | ---------------------------------------------------------------------- |
 * | slow start  | `ramp`, from a quarter upward | doubling per round of successes or 10 s → full · busy → half of now     |
 * | full        | `limit`                       | busy → slow start at half · dead, or sick three times → quarantine      |
 * | quarantine  | 0                             | back-off over and a probe answered → slow start at a quarter            |
 *
 * `limit` is configured, or learned (learned-limit.ts).
 */
export interface SlotState extends LearnedLimit {
  readonly auto: boolean;
  /** Slow start: at most these are open. Null = over. */
  readonly ramp: number | null;
  readonly successesSinceStep: number;
  readonly steppedAtMs: number;
  /** Faults in a row. */
  readonly faults: number;
  readonly quarantine: { readonly untilMs: number } | null;
  /** Quarantines since the last success; doubles their length. */
  readonly quarantines: number;
  /** The engine reports that it has no room for adapters at all. */
  readonly noAdapters: boolean;
}

const SLOW_START_SHARE = 0.25;
export const SLOW_START_STEP_MS = 10_000;
const MIN_SUCCESSES_PER_STEP = 4;
/** An endpoint that has been ready this long is warm, whoever looks at it for the first time. */
const WARM_AFTER_MS = 60_000;

const FAULTS_TO_QUARANTINE = 3;
const QUARANTINE_MS = 1_000;
const MAX_QUARANTINE_MS = 30_000;

/**
 * The state of an endpoint that is seen for the first time; `readyForMs` since it became ready. `learnedLimit`: what others
 * of its kind have learned.
 */
export function freshSlots(
  configured: number | 'Auto',
  readyForMs: number,
  nowMs: number,
  learnedLimit = AUTO_START,
): SlotState {
  const limit = configured === 'Auto' ? learnedLimit : Math.max(1, configured);
  return {
    auto: configured === 'Auto',
    limit,
    ramp: readyForMs > WARM_AFTER_MS ? null : slowStart(limit),
    successesSinceStep: 0,
    steppedAtMs: nowMs,
    cutAtMs: Number.NEGATIVE_INFINITY,
    reading: null,
    faults: 0,
    quarantine: null,
    quarantines: 0,
    noAdapters: false,
  };
}

/** Slots that are open now: 0 in quarantine, else at least 1. */
export function openSlots(state: SlotState): number {
  if (state.quarantine) return 0;
  return Math.max(1, Math.min(state.limit, state.ramp ?? state.limit));
}

/** A call was answered. */
export function afterSuccess(state: SlotState, nowMs: number): SlotState {
  if (state.quarantine) return state;
  const calm = state.faults === 0 && state.quarantines === 0 ? state : { ...state, faults: 0, quarantines: 0 };
  if (calm.ramp === null) return calm;
  const successesSinceStep = calm.successesSinceStep + 1;
  if (successesSinceStep < Math.max(MIN_SUCCESSES_PER_STEP, calm.ramp)) return { ...calm, successesSinceStep };
  return stepped(calm, nowMs);
}

/** A call failed on the endpoint in a way that `fault` tells. */
export function afterFault(state: SlotState, fault: EndpointFault, nowMs: number): SlotState {
  if (state.quarantine || fault === 'none') return state;
  if (fault === 'busy') return halved(state, nowMs);
  const faults = state.faults + 1;
  if (fault === 'dead' || faults >= FAULTS_TO_QUARANTINE) return quarantined({ ...state, faults }, nowMs);
  return { ...state, faults, successesSinceStep: 0 };
}

/** Time passed: slow start goes on even without traffic. */
export function afterTick(state: SlotState, nowMs: number): SlotState {
  if (state.quarantine || state.ramp === null || nowMs - state.steppedAtMs < SLOW_START_STEP_MS) return state;
  return stepped(state, nowMs);
}

/** True when the endpoint should be asked whether it lives. */
export function isProbeDue(state: SlotState, nowMs: number): boolean {
  return state.quarantine !== null && nowMs >= state.quarantine.untilMs;
}

export function afterProbe(state: SlotState, alive: boolean, nowMs: number): SlotState {
  if (!state.quarantine) return state;
  if (!alive) return quarantined(state, nowMs);
  return {
    ...state,
    quarantine: null,
    faults: 0,
    ramp: slowStart(state.limit),
    successesSinceStep: 0,
    steppedAtMs: nowMs,
  };
}

/** A scrape that was sent at `startedAtMs` says how the engine is loaded; moves a learned limit only. */
export function afterScrape(
  state: SlotState,
  engine: EngineMetrics,
  nowMs: number,
  startedAtMs: number = nowMs,
): SlotState {
  const noAdapters = engine.maxAdapters === 0;
  const known = noAdapters === state.noAdapters ? state : { ...state, noAdapters };
  if (!known.auto || known.quarantine) return known;
  return learned(known, engine, startedAtMs, nowMs);
}

/**
 * The ledger had so many slots of this endpoint open before this process began: what was learned is not lost with the
 * process that learned it. Fewer than a fresh endpoint has say nothing, they may be those of a slow start.
 */
export function recalled(state: SlotState, slots: number): SlotState {
  if (!state.auto || slots <= state.limit) return state;
  return { ...state, limit: Math.min(AUTO_MAX, slots), ramp: null };
}

/** The configured number changed. */
export function reconfigured(state: SlotState, configured: number | 'Auto'): SlotState {
  const auto = configured === 'Auto';
  if (auto === state.auto && (auto || configured === state.limit)) return state;
  return { ...state, auto, limit: configured === 'Auto' ? AUTO_START : Math.max(1, configured) };
}

function slowStart(limit: number): number | null {
  return limit > 1 ? Math.ceil(limit * SLOW_START_SHARE) : null;
}

function stepped(state: SlotState, nowMs: number): SlotState {
  const doubled = (state.ramp ?? state.limit) * 2;
  return { ...state, ramp: doubled >= state.limit ? null : doubled, successesSinceStep: 0, steppedAtMs: nowMs };
}

/** One cut per congestion: calls that were refused together count once. */
function halved(state: SlotState, nowMs: number): SlotState {
  if (nowMs - state.cutAtMs < CUT_EVERY_MS) return state;
  const ramp = Math.max(1, Math.floor(openSlots(state) / 2));
  const limit = state.auto ? Math.max(1, Math.floor(state.limit * CUT_RATIO)) : state.limit;
  return { ...state, limit, ramp, successesSinceStep: 0, steppedAtMs: nowMs, cutAtMs: nowMs };
}

function quarantined(state: SlotState, nowMs: number): SlotState {
  const forMs = Math.min(MAX_QUARANTINE_MS, QUARANTINE_MS * 2 ** Math.min(state.quarantines, 16));
  return { ...state, quarantine: { untilMs: nowMs + forMs }, quarantines: state.quarantines + 1 };
}
