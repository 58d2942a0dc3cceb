import type { JournalLine } from '../../../src/model-sim/adapters/call-journal.ts';

/** One run of a call in one model server, as its journal has it. */
export interface Attempt {
  readonly pid: number;
  readonly call: string;
  readonly seed: number;
  readonly beganAtEpochMs: number;
  readonly firstAtEpochMs: number | null;
  /** Of a process that was killed: the last that was heard of it. */
  readonly endedAtEpochMs: number;
  /** Null: its process wrote no end. */
  readonly why: string | null;
}

/** Attempts of each seed, in the order in which they began. */
export function attemptsOf(journal: readonly JournalLine[]): ReadonlyMap<number, readonly Attempt[]> {
  const lastOf = new Map<number, number>();
  const byCall = new Map<string, JournalLine[]>();
  for (const line of journal) {
    lastOf.set(line.pid, line.atEpochMs);
    const key = `${line.pid} ${line.call}`;
    const lines = byCall.get(key);
    if (lines === undefined) byCall.set(key, [line]);
    else lines.push(line);
  }
  const bySeed = new Map<number, Attempt[]>();
  for (const lines of byCall.values()) {
    for (const attempt of attemptsOfCall(lines, lastOf)) {
      const known = bySeed.get(attempt.seed) ?? [];
      bySeed.set(
        attempt.seed,
        [...known, attempt].sort((a, b) => a.beganAtEpochMs - b.beganAtEpochMs),
      );
    }
  }
  return bySeed;
}

/** One process may have had the same call twice, one after the other. */
function attemptsOfCall(lines: readonly JournalLine[], lastOf: ReadonlyMap<number, number>): Attempt[] {
  return lines.flatMap((line, index) => {
    if (line.event !== 'began') return [];
    const next = lines.findIndex(({ event }, later) => later > index && event === 'began');
    const own = lines.slice(index, next === -1 ? lines.length : next);
    const ended = own.find(({ event }) => event === 'ended');
    return {
      ...{ pid: line.pid, call: line.call, seed: line.seed, beganAtEpochMs: line.atEpochMs },
      firstAtEpochMs: own.find(({ event }) => event === 'first')?.atEpochMs ?? null,
      endedAtEpochMs: ended?.atEpochMs ?? Math.max(line.atEpochMs, lastOf.get(line.pid) ?? 0),
      why: ended?.why ?? null,
    };
  });
}

/** When more of the attempts ran than may at one time, for at least that long. */
export function crowded(attempts: readonly Attempt[], most: number, atLeastMs: number): readonly Overfull[] {
  const changes = attempts
    .flatMap(({ beganAtEpochMs, endedAtEpochMs }) => [
      { atEpochMs: beganAtEpochMs, by: 1 },
      { atEpochMs: endedAtEpochMs, by: -1 },
    ])
    .sort((a, b) => a.atEpochMs - b.atEpochMs || a.by - b.by);
  let open = 0;
  const lines = changes.map(({ atEpochMs, by }) => {
    open += by;
    return { pid: 0, atEpochMs, open };
  });
  return overfull(lines, most, atLeastMs);
}

/** A time during which a process had more open calls than slots. */
export interface Overfull {
  readonly pid: number;
  readonly fromEpochMs: number;
  readonly toEpochMs: number;
  readonly most: number;
}

/**
 * When a process had more open calls than slots, for at least that long. Shorter times are those between a gateway that
 * ended a call and its model server that had not yet heard of it.
 */
export function overfull(
  journal: readonly Pick<JournalLine, 'pid' | 'atEpochMs' | 'open'>[],
  slots: number,
  atLeastMs: number,
): readonly Overfull[] {
  const found: Overfull[] = [];
  const open = new Map<number, Overfull>();
  for (const { pid, open: calls, atEpochMs } of journal) {
    const current = open.get(pid);
    if (current === undefined && calls <= slots) continue;
    const fromEpochMs = current?.fromEpochMs ?? atEpochMs;
    const now = { pid, fromEpochMs, toEpochMs: atEpochMs, most: Math.max(calls, current?.most ?? 0) };
    if (calls > slots) {
      open.set(pid, now);
      continue;
    }
    open.delete(pid);
    found.push(now);
  }
  return [...found, ...open.values()].filter(({ fromEpochMs, toEpochMs }) => toEpochMs - fromEpochMs >= atLeastMs);
}
