import type { Random } from '../../../src/core/random.ts';
import { seededRandom } from '../../../src/core/random.ts';

/**
 * What can happen, by lane. Things of one lane follow each other; lanes go on side by side, so that a gateway dies while
 * Redis fails over and the store is slow.
 */
export const LANES = {
  gateways: ['kill gateway', 'freeze gateway', 'freeze gateway long', 'step clock of gateway', 'stop gateway'],
  controllers: ['kill controller', 'freeze controller', 'step clock of controller'],
  engines: [
    'kill engine',
    'freeze engine',
    'engines die in mid-stream',
    'engine fails in mid-stream',
    'cut engines',
    'black hole to engines',
    'black hole from engines',
    'slow engines',
  ],
  redis: [
    'restart Redis',
    'fail over',
    'fail over behind',
    'freeze Redis',
    'cut Redis',
    'black hole to Redis',
    'black hole from Redis',
    'slow Redis',
    'kill replica',
    'kill sentinel',
  ],
  store: ['store fails', 'store is silent', 'store is full', 'store is slow'],
} as const;

export type Lane = keyof typeof LANES;
export type FaultKind = (typeof LANES)[Lane][number];

export const ALL_LANES = Object.keys(LANES) as readonly Lane[];
export const ALL_FAULTS = ALL_LANES.flatMap((lane): readonly FaultKind[] => LANES[lane]);

export interface PlannedFault {
  readonly lane: Lane;
  readonly kind: FaultKind;
  readonly atMs: number;
  /** How long it lasts, of what lasts; the recovery comes on top. */
  readonly forMs: number;
  /** Which of those that it can befall: in [0, 1). */
  readonly target: number;
  /** For whatever else it must choose. */
  readonly seed: number;
}

export interface ScheduleOptions {
  readonly seed: number;
  readonly durationMs: number;
  /** Only these; default: all. */
  readonly kinds?: readonly FaultKind[];
}

const FIRST_MS = 1_000;
/** Between two faults of a lane: long enough that work goes on in most of it. */
const GAP_MS = { least: 2_000, spread: 6_000 };
const LASTS_MS = { least: 500, spread: 2_000 };
/** Longer than an owner may be silent (3 s), shorter than a quarantine (60 s). */
const LASTS_LONG_MS = { least: 4_000, spread: 8_000 };
const LONG: ReadonlySet<FaultKind> = new Set<FaultKind>([
  'freeze gateway long',
  'freeze controller',
  'freeze Redis',
  'step clock of gateway',
  'step clock of controller',
]);

/**
 * The faults of a run by time, a function of the seed. In each lane every kind comes once in a random order before any
 * comes again; none begins before the one before it is over, or after the end.
 */
export function planFaults({ seed, durationMs, kinds = ALL_FAULTS }: ScheduleOptions): readonly PlannedFault[] {
  const planned = ALL_LANES.flatMap((lane, place) => {
    const possible = LANES[lane].filter((kind: FaultKind) => kinds.includes(kind));
    return planLane(lane, possible, durationMs, seededRandom(seed * 31 + place));
  });
  return planned.sort((a, b) => a.atMs - b.atMs);
}

function planLane(lane: Lane, kinds: readonly FaultKind[], durationMs: number, random: Random): PlannedFault[] {
  const planned: PlannedFault[] = [];
  if (kinds.length === 0) return planned;
  let round: FaultKind[] = [];
  let atMs = FIRST_MS + random.next() * GAP_MS.spread;
  while (atMs < durationMs) {
    if (round.length === 0) round = shuffled(kinds, random);
    const kind = round.pop() as FaultKind;
    const lasts = LONG.has(kind) ? LASTS_LONG_MS : LASTS_MS;
    const forMs = Math.round(lasts.least + random.next() * lasts.spread);
    const target = random.next();
    planned.push({ lane, kind, atMs: Math.round(atMs), forMs, target, seed: Math.floor(random.next() * 2 ** 31) });
    atMs += forMs + GAP_MS.least + random.next() * GAP_MS.spread;
  }
  return planned;
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  return items
    .map((item) => ({ item, order: random.next() }))
    .sort((a, b) => a.order - b.order)
    .map(({ item }) => item);
}

export function pick<T>(items: readonly T[], target: number): T {
  const item = items[Math.floor(target * items.length)];
  if (item === undefined) throw new Error('there is nothing to pick from');
  return item;
}
