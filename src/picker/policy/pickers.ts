import type { Random } from '../../core/random.ts';

/** Orders endpoints by their total scores, best first. */
export interface PickerPlugin {
  readonly kind: 'picker';
  readonly type: string;
  /** Indices into `totals`. */
  readonly order: (totals: readonly number[], random: Random) => number[];
}

/** Highest total first; equal ones in random order, so that a tie does not always burden the same endpoint. */
export const maxScorePicker: PickerPlugin = {
  kind: 'picker',
  type: 'max-score-picker',
  order: (totals, random) => shuffled(totals.length, random).sort((a, b) => (totals[b] ?? 0) - (totals[a] ?? 0)),
};

/** Any order, scores ignored. */
export const randomPicker: PickerPlugin = {
  kind: 'picker',
  type: 'random-picker',
  order: (totals, random) => shuffled(totals.length, random),
};

/**
 * Random order in which a twice as high score comes first twice as often; zero scores last.
 * A-Res keys U^(1/score): Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006.
 */
export const weightedRandomPicker: PickerPlugin = {
  kind: 'picker',
  type: 'weighted-random-picker',
  order(totals, random) {
    const keys = totals.map((total) => (total > 0 ? random.next() ** (1 / total) : -random.next()));
    return totals.map((_total, index) => index).sort((a, b) => (keys[b] ?? 0) - (keys[a] ?? 0));
  },
};

/** Fisher–Yates. */
function shuffled(length: number, random: Random): number[] {
  const order = Array.from({ length }, (_, index) => index);
  for (let last = length - 1; last > 0; last -= 1) {
    const other = Math.floor(random.next() * (last + 1));
    const moved = order[last] ?? 0;
    order[last] = order[other] ?? 0;
    order[other] = moved;
  }
  return order;
}
