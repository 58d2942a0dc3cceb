/** Durations and sizes as people write them. A unit is always required: "30" alone is an error. */

const DURATION_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const DURATION_PART = /(\d+)(ms|s|m|h|d)/gy;

const SIZE_BYTES = {
  B: 1,
  Ki: 1_024,
  Mi: 1_048_576,
  Gi: 1_073_741_824,
  Ti: 1_099_511_627_776,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
} as const;
const SIZE = /^(\d+)(B|Ki|Mi|Gi|Ti|k|M|G|T)$/;

export type Parsed<T> = { ok: true; value: T } | { ok: false; problem: string };

/** Milliseconds of "30s", "1h30m", "250ms". Whole numbers only, units ms s m h d, at most 10 years. */
export function parseDuration(text: string): Parsed<number> {
  const problem = `"${text}" is not a duration; write a whole number with a unit, like "250ms", "30s", "15m" or "1h30m"`;
  let totalMs = 0;
  let end = 0;
  DURATION_PART.lastIndex = 0;
  for (let part = DURATION_PART.exec(text); part; part = DURATION_PART.exec(text)) {
    totalMs += Number(part[1]) * DURATION_MS[part[2] as keyof typeof DURATION_MS];
    end = DURATION_PART.lastIndex;
  }
  if (end === 0 || end !== text.length) return { ok: false, problem };
  if (totalMs > 3650 * DURATION_MS.d) return { ok: false, problem: `"${text}" is longer than ten years` };
  return { ok: true, value: totalMs };
}

/** Bytes of "256Mi", "10M", "512B". Whole numbers only; Ki Mi Gi Ti are powers of 1024, k M G T of 1000. */
export function parseBytes(text: string): Parsed<number> {
  const match = SIZE.exec(text);
  const bytes = match ? Number(match[1]) * SIZE_BYTES[match[2] as keyof typeof SIZE_BYTES] : Number.NaN;
  if (!Number.isSafeInteger(bytes)) {
    return {
      ok: false,
      problem: `"${text}" is not a size; write a whole number with a unit, like "512Ki", "10Mi" or "1Gi"`,
    };
  }
  return { ok: true, value: bytes };
}

/** "1h 5m", "42s", "350ms": at most two parts, for people. */
export function formatDuration(durationMs: number): string {
  if (durationMs < 1_000) return `${Math.round(durationMs)}ms`;
  const totalS = Math.round(durationMs / 1_000);
  const parts = [
    [Math.floor(totalS / 86_400), 'd'],
    [Math.floor(totalS / 3_600) % 24, 'h'],
    [Math.floor(totalS / 60) % 60, 'm'],
    [totalS % 60, 's'],
  ] as const;
  const first = parts.findIndex(([count]) => count > 0);
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count}${unit}`)
    .join(' ');
}

/** "10Mi", "1.5Gi": binary units, one decimal at most, for people and error texts. */
export function formatBytes(bytes: number): string {
  for (const [unit, size] of [
    ['Ti', SIZE_BYTES.Ti],
    ['Gi', SIZE_BYTES.Gi],
    ['Mi', SIZE_BYTES.Mi],
    ['Ki', SIZE_BYTES.Ki],
  ] as const) {
    if (bytes >= size) return `${Math.round((bytes / size) * 10) / 10}${unit}`;
  }
  return `${bytes}B`;
}
