import type { JournalLine } from '../../../src/model-sim/adapters/call-journal.ts';
import { type Attempt, attemptsOf, crowded, overfull } from './attempts.ts';
import type { Happened } from './faults.ts';
import { type AcceptedJob, type HeldCall, NARROW } from './load.ts';
import type { Absence } from './member.ts';
import type { FaultKind } from './schedule.ts';
import { incarnationsOf, overGrants, type SlotSample, stallsOf, unexplained } from './slot-rules.ts';
import { type StoredRequest, storedViolations } from './stored-rules.ts';

/** A job as each gateway tells of it in the end. */
export interface JobEnd {
  readonly job: AcceptedJob;
  readonly told: readonly {
    readonly gateway: string;
    readonly status: string;
    readonly text: string | null;
    readonly code: string | null;
  }[];
}

/** All that was seen of a run. */
export interface Evidence {
  readonly slots: number;
  readonly calls: readonly HeldCall[];
  readonly jobs: readonly JobEnd[];
  readonly journal: readonly JournalLine[];
  readonly happened: readonly Happened[];
  readonly absences: readonly Absence[];
  /** Looks at the ledger, by time. */
  readonly samples: readonly SlotSample[];
  /** Seeds of what the rows of the batch ask. */
  readonly rows: readonly number[];
}

export interface Violation {
  readonly rule: string;
  /** What it is about: a request, a process. */
  readonly id: string;
  readonly told: string;
  /** Of its text; null when it is about no request. */
  readonly seed: number | null;
}

/** Errors that say "a defect of ours". */
const DEFECTS: ReadonlySet<string | null> = new Set([null, 'internal_error', 'config_invalid']);
/** How a job may fail when model servers break under it again and again. */
const JOB_FAILURES: ReadonlySet<string> = new Set([
  ...['attempts_exhausted', 'upstream_error', 'upstream_aborted', 'upstream_unreachable', 'upstream_idle_timeout'],
]);
/** While these last a model server does not hear that its caller has gone. */
const MAY_HIDE_ENDS: ReadonlySet<FaultKind> = new Set<FaultKind>([
  ...(['black hole to engines', 'black hole from engines', 'freeze engine'] as const),
]);
/** What such a process runs goes on while its slots, being in quarantine, count for no tenant. */
const MAY_ORPHAN: ReadonlySet<FaultKind> = new Set<FaultKind>(['freeze gateway', 'freeze gateway long']);
/** From them no call may end with an error. */
const HARMLESS: ReadonlySet<FaultKind> = new Set<FaultKind>([
  ...(['step clock of gateway', 'step clock of controller', 'slow engines', 'kill replica', 'kill sentinel'] as const),
]);
/** An error may come so long after what has caused it. */
const FELT_FOR_MS = 10_000;
const ORPHANED_AFTER_MS = 5_000;
const HIDDEN_AFTER_MS = 10_000;
/** Clocks of two processes on one machine are read a moment apart. */
const CLOCK_MS = 5;
const OVERFULL_FOR_MS = 1_000;

/** What must not have been; none when all is well. */
export function violations(evidence: Evidence): readonly Violation[] {
  const attempts = attemptsOf(evidence.journal);
  return [
    ...evidence.calls.flatMap((call) => ofCall(call, attempts.get(call.seed) ?? [], evidence)),
    ...evidence.jobs.flatMap((end) => ofJob(end)),
    ...overGrants(evidence.samples, evidence.slots).map(
      ({ atEpochMs, endpoint, slots, held, ids }): Violation => ({
        rule: 'leases are never above slots',
        id: `ledger at ${atEpochMs}`,
        told: `${held} of ${slots} of ${endpoint}, with ${ids.join(', ')} that came last`,
        seed: null,
      }),
    ),
    ...storedViolations(storedOf(evidence), attempts, {
      incarnations: incarnationsOf(evidence.samples),
      mayOverlap: (ms) => mayHideEnds(evidence, ms) || mayOrphan(evidence, ms),
      happened: evidence.happened,
    }),
    ...ofEngines(evidence),
    ...ofNarrow(evidence, attempts),
  ];
}

function ofCall(call: HeldCall, attempts: readonly Attempt[], evidence: Evidence): Violation[] {
  const found: Violation[] = [];
  const say = (rule: string, told: string) => found.push({ rule, id: call.label, told, seed: call.seed });
  if (!call.isPrefix) say('what comes is the beginning of its own text', `${call.received} characters came`);
  if (!call.isRight && !call.isCancelled && !mayBeCut(call, evidence.absences)) {
    if (call.status === 200 && call.code === null) say('a call ends with its answer or an error', call.problem ?? '');
    else if (call.status === 0) say('a call ends with its answer or an error', call.problem ?? 'no answer');
    else if (DEFECTS.has(call.code)) say('an error is one that the documentation excuses', call.problem ?? '');
    else if (!hasCause(call, evidence)) say('an error has its cause', `${call.code} while nothing was broken`);
  }
  const first = call.firstAtEpochMs;
  const late = attempts.filter(({ beganAtEpochMs }) => first !== null && beganAtEpochMs > first + CLOCK_MS);
  if (late.length > 0) say('no retry after a first byte', `${late.length} attempts began after it`);
  const [overlap] = attempts.slice(1).filter((attempt, index) => {
    const before = attempts[index] as Attempt;
    return attempt.beganAtEpochMs < before.endedAtEpochMs - CLOCK_MS && before.why !== null;
  });
  if (overlap && !mayHideEnds(evidence, overlap.beganAtEpochMs))
    say('a held call runs once at a time', `a second attempt began in ${overlap.pid} before the first had ended`);
  return found;
}

/** The connection of a client ends with the process that had it; one that drains answers whatever it has read. */
function mayBeCut(call: HeldCall, absences: readonly Absence[]): boolean {
  return absences.some(
    ({ name, fromEpochMs, toEpochMs, why }) =>
      name === call.gateway &&
      fromEpochMs <= call.endedAtEpochMs + CLOCK_MS &&
      toEpochMs >= call.startedAtEpochMs - CLOCK_MS &&
      (why === 'killed' || call.status === 0),
  );
}

function ofJob({ job, told }: JobEnd): Violation[] {
  const found: Violation[] = [];
  const say = (rule: string, text: string) => found.push({ rule, id: job.id, told: text, seed: job.seed });
  const ends = new Set(told.map(({ status, text, code }) => JSON.stringify([status, text, code])));
  if (ends.size !== 1)
    say('a job has one outcome, whoever is asked', [...ends].map((end) => end.slice(0, 200)).join(' / '));
  for (const { status, text, code, gateway } of told) {
    if (status === 'completed' && text !== job.expected) say('a result is byte-exact', `told by ${gateway}`);
    else if (status === 'failed' && !JOB_FAILURES.has(code ?? ''))
      say('a job fails only as its model servers do', `${code}`);
    else if (status !== 'completed' && status !== 'failed')
      say('an accepted job gets its outcome', `${status}, told by ${gateway}`);
  }
  return found;
}

function storedOf({ jobs, rows }: Evidence): readonly StoredRequest[] {
  return [...jobs.map(({ job }) => job), ...rows.map((seed, index) => ({ id: `row ${index}`, seed }))];
}

function ofEngines(evidence: Evidence): Violation[] {
  const { journal, slots, samples } = evidence;
  const spells = overfull(journal, slots, OVERFULL_FOR_MS);
  return unexplained(spells, incarnationsOf(samples), (ms) => mayHideEnds(evidence, ms)).map(
    ({ pid, fromEpochMs, toEpochMs, most }) => ({
      rule: 'a model server never has more calls than slots',
      id: `model server ${pid}`,
      told: `${most} of ${slots} from ${fromEpochMs} to ${toEpochMs}`,
      seed: null,
    }),
  );
}

function ofNarrow(evidence: Evidence, attempts: ReadonlyMap<number, readonly Attempt[]>): Violation[] {
  const own = evidence.calls.filter(({ tenant }) => tenant === NARROW.name);
  const spells = crowded(
    own.flatMap(({ seed }) => attempts.get(seed) ?? []),
    NARROW.maxConcurrency,
    OVERFULL_FOR_MS,
  );
  const isExcused = (ms: number) => mayHideEnds(evidence, ms) || mayOrphan(evidence, ms);
  return unexplained(spells, incarnationsOf(evidence.samples), isExcused).map(({ fromEpochMs, toEpochMs, most }) => ({
    rule: 'a tenant never runs more calls than it may',
    id: `tenant ${NARROW.name}`,
    told: `${most} of ${NARROW.maxConcurrency} from ${fromEpochMs} to ${toEpochMs}`,
    seed: null,
  }));
}

/** A fault or a stall of the machine that lasted into the call, or had ended a short while before it began. */
function hasCause({ startedAtEpochMs, endedAtEpochMs }: HeldCall, { happened, samples }: Evidence): boolean {
  const broken = happened.filter(({ kind }) => !HARMLESS.has(kind));
  return [...broken, ...stallsOf(samples)].some(
    ({ fromEpochMs, toEpochMs }) =>
      fromEpochMs <= endedAtEpochMs + CLOCK_MS && toEpochMs + FELT_FOR_MS >= startedAtEpochMs,
  );
}

function mayHideEnds(evidence: Evidence, atEpochMs: number): boolean {
  return during(evidence, atEpochMs, MAY_HIDE_ENDS, HIDDEN_AFTER_MS);
}

function mayOrphan(evidence: Evidence, atEpochMs: number): boolean {
  return during(evidence, atEpochMs, MAY_ORPHAN, ORPHANED_AFTER_MS);
}

function during({ happened }: Evidence, atEpochMs: number, kinds: ReadonlySet<FaultKind>, afterMs: number): boolean {
  return happened.some(
    ({ kind, fromEpochMs, toEpochMs }) =>
      kinds.has(kind) && atEpochMs >= fromEpochMs - CLOCK_MS && atEpochMs <= toEpochMs + afterMs,
  );
}
