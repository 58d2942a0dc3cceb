export interface WeightedSample {
  readonly value: number;
  readonly weight: number;
}

/** The least sample value at which `share` (0..1) of all weight is reached; null without samples. */
export function weightedQuantile(samples: readonly WeightedSample[], share: number): number | null {
  const sorted = [...samples].sort((a, b) => a.value - b.value);
  const total = sorted.reduce((sum, { weight }) => sum + weight, 0);
  let reached = 0;
  for (const { value, weight } of sorted) {
    reached += weight;
    if (reached >= share * total) return value;
  }
  return null;
}
