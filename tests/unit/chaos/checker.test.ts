import { expect, test } from 'vitest';
import type { JournalLine } from '../../../src/model-sim/adapters/call-journal.ts';
import { type Evidence, type JobEnd, violations } from '../../chaos/support/checker.ts';
import type { Happened } from '../../chaos/support/faults.ts';
import type { HeldCall } from '../../chaos/support/load.ts';

const SEED = 7;
const SLOTS = 2;

const quiet: Evidence = {
  ...{ slots: SLOTS, calls: [], jobs: [], journal: [], happened: [], absences: [], samples: [], rows: [] },
};

function call(changes: Partial<HeldCall> = {}): HeldCall {
  return {
    ...{ label: 'one', kind: 'stream', gateway: 'gateway-1', status: 200, isRight: true, isPrefix: true, received: 40 },
    ...{ problem: null, code: null, seed: SEED, isCancelled: false, tenant: 'anonymous' },
    ...{ startedAtEpochMs: 1_000, firstAtEpochMs: 2_000, endedAtEpochMs: 3_000 },
    ...changes,
  };
}

function job(...told: readonly Partial<JobEnd['told'][number]>[]): JobEnd {
  return {
    job: { id: 'job_1', seed: SEED, expected: 'right', gateway: 'gateway-1', acceptedAtEpochMs: 1_000 },
    told: told.map((each) => ({ gateway: 'gateway-1', status: 'completed', text: 'right', code: null, ...each })),
  };
}

function line(atEpochMs: number, event: JournalLine['event'], changes: Partial<JournalLine> = {}): JournalLine {
  const why = event === 'ended' ? { why: 'length' } : {};
  return { atEpochMs, event, pid: 1, call: 'chatcmpl-1', seed: SEED, open: 1, ...why, ...changes };
}

const happened = (kind: Happened['kind'], fromEpochMs: number, toEpochMs: number): Happened => ({
  ...{ lane: 'redis', kind, whom: 'all', fromEpochMs, toEpochMs },
});
const attempt = (fromEpochMs: number, toEpochMs: number, pid: number) => [
  line(fromEpochMs, 'began', { pid }),
  line(toEpochMs, 'ended', { pid }),
];
const sample = (atEpochMs: number, incarnation: string, ...held: readonly string[]) => ({
  ...{ atEpochMs, incarnation, isRecovering: false, used: { a: held } },
});
const cut = { isRight: false, problem: 'cut after 12 bytes', received: 12 };
const busy = { isRight: false, status: 503, received: 0, firstAtEpochMs: null };
const killed = { name: 'gateway-1', fromEpochMs: 2_500, toEpochMs: 2_600, why: 'killed' } as const;

const FINE: readonly { readonly name: string; readonly seen: Partial<Evidence> }[] = [
  { name: 'a call that is answered by one attempt', seen: { calls: [call()], journal: attempt(1_500, 2_900, 1) } },
  {
    name: 'an error that the documentation excuses',
    seen: { calls: [call({ ...busy, code: 'queue_unavailable' })], happened: [happened('fail over', 500, 900)] },
  },
  {
    name: 'an error after the machine stood still',
    seen: {
      calls: [call({ ...busy, code: 'queue_unavailable' })],
      samples: [sample(500, 'one'), sample(1_600, 'one')],
    },
  },
  { name: 'a call that its client gave up', seen: { calls: [call({ ...cut, isCancelled: true })] } },
  { name: 'a call that was cut with its gateway', seen: { calls: [call(cut)], absences: [killed] } },
  {
    name: 'a retry before the first byte',
    seen: { calls: [call()], journal: [...attempt(1_200, 1_300, 1), ...attempt(1_400, 2_900, 2)] },
  },
  { name: 'a job that all tell alike', seen: { jobs: [job({}, { gateway: 'gateway-2' })] } },
  {
    name: 'a job that its model servers failed',
    seen: { jobs: [job({ status: 'failed', text: null, code: 'attempts_exhausted' })] },
  },
  {
    name: 'what ran is re-asserted over the slots, however late',
    seen: {
      samples: [
        sample(1_000, 'one', 'first', 'second'),
        sample(4_000, 'two', 'third', 'second'),
        sample(60_000, 'two', 'third', 'second', 'first'),
      ],
    },
  },
  {
    name: 'what nobody saw granted is re-asserted over the slots of a young incarnation',
    seen: { samples: [sample(1_000, 'one'), sample(4_000, 'two', 'a', 'b'), sample(5_000, 'two', 'a', 'b', 'c')] },
  },
  {
    name: 'an endpoint that is over its slots and takes nothing',
    seen: {
      samples: [
        sample(1_000, 'one', 'a', 'b'),
        sample(4_000, 'two', 'a', 'b', 'c'),
        sample(60_000, 'two', 'a', '!b', 'c'),
      ],
    },
  },
  {
    name: 'a row that runs again after it was broken off',
    seen: {
      rows: [SEED],
      journal: [line(1_000, 'began'), line(2_000, 'ended', { why: 'left' }), ...attempt(2_100, 2_900, 2)],
    },
  },
  {
    name: 'a row that runs again after its answer went astray',
    seen: {
      rows: [SEED],
      journal: [...attempt(1_000, 2_000, 1), ...attempt(3_000, 4_000, 2)],
      happened: [happened('cut engines', 1_900, 1_901)],
    },
  },
  {
    name: 'a row whose process stood still and was thought dead',
    seen: {
      rows: [SEED],
      journal: [line(1_000, 'began'), ...attempt(5_000, 8_000, 2), line(9_000, 'ended', { why: 'left' })],
      happened: [happened('freeze gateway long', 1_100, 9_000)],
    },
  },
  {
    name: 'more calls than slots for the moment in which a caller leaves',
    seen: { journal: [line(1_000, 'began', { open: 3 }), line(1_050, 'ended', { open: 2 })] },
  },
];

test.each(FINE)('$name is no violation', ({ seen }) => {
  expect(violations({ ...quiet, ...seen })).toEqual([]);
});

const WRONG: readonly { readonly name: string; readonly seen: Partial<Evidence>; readonly rule: string }[] = [
  {
    name: 'the text of somebody else',
    seen: { calls: [call({ isPrefix: false })] },
    rule: 'what comes is the beginning of its own text',
  },
  { name: 'a stream that is cut', seen: { calls: [call(cut)] }, rule: 'a call ends with its answer or an error' },
  {
    name: 'a stream that another gateway cut',
    seen: { calls: [call(cut)], absences: [{ ...killed, name: 'gateway-2' }] },
    rule: 'a call ends with its answer or an error',
  },
  {
    name: 'a stream that was cut by a gateway that drains',
    seen: { calls: [call(cut)], absences: [{ ...killed, why: 'stopped' }] },
    rule: 'a call ends with its answer or an error',
  },
  {
    name: 'a call without any answer',
    seen: { calls: [call({ ...busy, status: 0 })] },
    rule: 'a call ends with its answer or an error',
  },
  {
    name: 'a defect',
    seen: { calls: [call({ ...busy, status: 500, code: 'internal_error' })] },
    rule: 'an error is one that the documentation excuses',
  },
  {
    name: 'an attempt after the first byte',
    seen: { calls: [call()], journal: [...attempt(1_500, 2_200, 1), ...attempt(2_300, 2_900, 2)] },
    rule: 'no retry after a first byte',
  },
  {
    name: 'a call that runs twice at a time',
    seen: { calls: [call()], journal: [...attempt(1_200, 2_900, 1), ...attempt(1_500, 2_900, 2)] },
    rule: 'a held call runs once at a time',
  },
  {
    name: 'a job with two outcomes',
    seen: { jobs: [job({}, { gateway: 'gateway-2', status: 'failed', text: null, code: 'attempts_exhausted' })] },
    rule: 'a job has one outcome, whoever is asked',
  },
  { name: 'a wrong result', seen: { jobs: [job({ text: 'wrong' })] }, rule: 'a result is byte-exact' },
  {
    name: 'a job that was cancelled by nobody',
    seen: { jobs: [job({ status: 'cancelled', text: null })] },
    rule: 'an accepted job gets its outcome',
  },
  {
    name: 'a job that failed for a defect',
    seen: { jobs: [job({ status: 'failed', text: null, code: 'internal_error' })] },
    rule: 'a job fails only as its model servers do',
  },
  {
    name: 'an error while nothing was broken',
    seen: {
      calls: [call({ ...busy, code: 'queue_unavailable', startedAtEpochMs: 90_000, endedAtEpochMs: 90_100 })],
      happened: [happened('fail over', 1_000, 4_000), happened('kill sentinel', 89_000, 90_000)],
    },
    rule: 'an error has its cause',
  },
  {
    name: 'a grant above the slots',
    seen: { samples: [sample(9_000, 'one', 'a', 'b'), sample(9_100, 'one', 'a', 'b', 'c')] },
    rule: 'leases are never above slots',
  },
  {
    name: 'a grant above the slots beside one in quarantine',
    seen: { samples: [sample(9_000, 'one', '!a', 'b'), sample(9_100, 'one', '!a', 'b', 'c')] },
    rule: 'leases are never above slots',
  },
  {
    name: 'a grant above the slots long after a fail-over, whatever else happens',
    seen: {
      samples: [sample(1_000, 'one', 'a'), sample(2_000, 'two', 'a', 'b'), sample(60_000, 'two', 'a', 'b', 'c')],
      happened: [happened('cut Redis', 59_000, 60_000)],
    },
    rule: 'leases are never above slots',
  },
  {
    name: 'a job that runs twice at a time',
    seen: {
      jobs: [job({})],
      journal: [line(1_000, 'began'), ...attempt(1_500, 2_900, 2), line(3_000, 'ended')],
      happened: [happened('kill gateway', 900, 3_000)],
    },
    rule: 'stored work runs once at a time',
  },
  {
    name: 'a row that runs again although its answer was there',
    seen: {
      rows: [SEED],
      journal: [...attempt(1_000, 2_000, 1), ...attempt(3_000, 4_000, 2)],
      happened: [happened('kill sentinel', 1_900, 2_500)],
    },
    rule: 'stored work does not run again after its answer',
  },
  {
    name: 'more calls than slots in a model server',
    seen: { journal: [line(1_000, 'began', { open: 3 }), line(2_500, 'ended', { open: 2 })] },
    rule: 'a model server never has more calls than slots',
  },
  {
    name: 'more calls of a tenant than it may have',
    seen: {
      calls: [1, 2, 3].map((seed) => call({ seed, tenant: 'narrow', firstAtEpochMs: null })),
      journal: [1, 2, 3].flatMap((seed) => [
        line(1_000, 'began', { seed, pid: seed, call: `${seed}` }),
        line(2_500, 'ended', { seed, pid: seed, call: `${seed}`, open: 0 }),
      ]),
    },
    rule: 'a tenant never runs more calls than it may',
  },
];

test.each(WRONG)('$name is one violation', ({ seen, rule }) => {
  expect(violations({ ...quiet, ...seen }).map((violation) => violation.rule)).toEqual([rule]);
});
