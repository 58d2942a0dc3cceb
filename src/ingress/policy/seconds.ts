/** Unix seconds, as in every OpenAI object. */
export function seconds(epochMs: number): number {
  return Math.floor(epochMs / 1_000);
}

export function secondsOrNull(epochMs: number | null): number | null {
  return epochMs === null ? null : seconds(epochMs);
}
