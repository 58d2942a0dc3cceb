/**
 * One row of a plan, as it is stored: a record of fixed size at `place * PLAN_ENTRY_BYTES` of the plan's blob, little-endian.
 *
 * | byte  | field           |                                                       |
 * | ----- | --------------- | ----------------------------------------------------- |
 * | 0–3   | line            | 0-based line of the input file                        |
 * | 4–9   | offset          | of the row's first byte                               |
 * | 10–13 | length          | without the line break                                |
 * | 14–15 | group           | index in `BatchPlan.groups`; NO_GROUP of a wrong row  |
 * | 16–19 | input tokens    | estimated                                             |
 * | 20–23 | output tokens   | the row's own limit; 0xffffffff = none                |
 * | 24    | attempts        | the row's own limit; 0 = none                         |
 * | 25–31 | zero            |                                                       |
 */
export const PLAN_ENTRY_BYTES = 32;

/** Group of a row that is wrong and has no group. */
export const NO_GROUP = 0xffff;

const NOT_LIMITED = 0xffff_ffff;
const U32 = 2 ** 32;

export interface PlanEntry {
  /** 0-based line of the input file. */
  readonly line: number;
  /** Where the row lies in the input file; of a wrong row: where its finished line lies in the blob of wrong rows. */
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly group: number;
  readonly inputTokens: number;
  readonly maxOutputTokens: number | null;
  /** 1..20; null = as the batch has it. */
  readonly maxAttempts: number | null;
}

/** Blob of the finished error-file lines of wrong rows (`onInvalidRow: skip`), in the order of their places. */
export function wrongRowsKey(planKey: string): string {
  return `${planKey}.wrong`;
}

/** Writes the entry at `at` of `target`, which has room for it. */
export function writePlanEntry(target: DataView, at: number, entry: PlanEntry): void {
  target.setUint32(at, entry.line, true);
  target.setUint32(at + 4, entry.offsetBytes % U32, true);
  target.setUint16(at + 8, Math.floor(entry.offsetBytes / U32), true);
  target.setUint32(at + 10, entry.lengthBytes, true);
  target.setUint16(at + 14, entry.group, true);
  target.setUint32(at + 16, Math.min(entry.inputTokens, NOT_LIMITED), true);
  target.setUint32(at + 20, entry.maxOutputTokens ?? NOT_LIMITED, true);
  target.setUint8(at + 24, entry.maxAttempts ?? 0);
}

/** The entry that starts at `at`; RangeError when it is not there whole. */
export function readPlanEntry(source: DataView, at: number): PlanEntry {
  const maxOutputTokens = source.getUint32(at + 20, true);
  const maxAttempts = source.getUint8(at + 24);
  return {
    line: source.getUint32(at, true),
    offsetBytes: source.getUint32(at + 4, true) + source.getUint16(at + 8, true) * U32,
    lengthBytes: source.getUint32(at + 10, true),
    group: source.getUint16(at + 14, true),
    inputTokens: source.getUint32(at + 16, true),
    maxOutputTokens: maxOutputTokens === NOT_LIMITED ? null : maxOutputTokens,
    maxAttempts: maxAttempts === 0 ? null : maxAttempts,
  };
}

/** All entries of a slice of the plan; RangeError when it ends within one. */
export function readPlanEntries(bytes: Uint8Array): PlanEntry[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries: PlanEntry[] = [];
  for (let at = 0; at < bytes.byteLength; at += PLAN_ENTRY_BYTES) entries.push(readPlanEntry(view, at));
  return entries;
}
