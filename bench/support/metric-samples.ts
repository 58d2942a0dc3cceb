/** What a /metrics page said: value by name and labels, as written there. */
export type Samples = ReadonlyMap<string, number>;

export function samplesOf(page: string): Samples {
  const samples = new Map<string, number>();
  for (const line of page.split('\n')) {
    const at = line.lastIndexOf(' ');
    if (at > 0 && !line.startsWith('#')) samples.set(line.slice(0, at), Number(line.slice(at + 1)));
  }
  return samples;
}

export function valueOf(samples: Samples, name: string): number {
  const value = samples.get(name) ?? [...samples].find(([key]) => key.startsWith(`${name}{`))?.[1];
  if (value === undefined) throw new Error(`/metrics has no ${name}`);
  return value;
}

/** By how much each series of the counter `name` has grown, by its labels; those that have not are left out. */
export function growthOf(name: string, before: Samples, after: Samples): ReadonlyMap<string, number> {
  const growth = new Map<string, number>();
  for (const [key, value] of after) {
    if (!key.startsWith(`${name}{`)) continue;
    const grown = value - (before.get(key) ?? 0);
    if (grown > 0) growth.set(key.slice(name.length), grown);
  }
  return growth;
}
