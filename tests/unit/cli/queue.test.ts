import { describe, expect, test } from 'vitest';
import { answering, run } from './support.ts';

const NOW = Date.now();
const BACKLOG = { waiting: 0, delayed: 0, active: 0, failed: 0, isPaused: false };
const QUEUE = {
  ...{ objective: 'nightly', priority: -10, waitingHeld: 1, waitingStored: 2, running: 3, stored: 40, bytes: 0 },
  ...{
    oldestWaitMs: 65_000,
    jobs: { ...BACKLOG, waiting: 30, delayed: 1 },
    chunks: BACKLOG,
    window: 4,
    deadLetters: 7,
  },
  paused: { byPolicy: true, byOperator: true },
};
const QUEUES = { object: 'queues', pools: [{ pool: 'default/chat', nowEpochMs: NOW, objectives: [QUEUE] }] };
const TICKET = {
  ...{ id: 'req_1', kind: 'held', objective: 'nightly', priority: -10, fairnessId: 'team-a', state: 'waiting' },
  ...{ position: 4, reason: 'paused', endpointId: null, owner: 'gw-1', attempt: 1, costTokens: 1 },
  ...{ queuedAtEpochMs: NOW, expiresAtEpochMs: null },
};
const AT = '/queues/default/chat';

test('queues are one line for each objective, with who paused it', async () => {
  const { fetch } = answering({ '/queues': [200, QUEUES] });
  for (const argv of [['queue'], ['queue', 'list', 'chat'], ['queue', 'chat']]) {
    const { stdout, exitCode } = await run(argv, { fetch });
    expect(stdout).toMatch(
      /default\/chat +nightly +-10 +1 +2 +40 +3 +0B +1m 5s +31 jobs +7 +by an operator, by its policy/,
    );
    expect(exitCode).toBe(0);
  }
});

test('tickets tell position and reason', async () => {
  const { fetch } = answering({ '/queues': [200, QUEUES], [`${AT}/tickets`]: [200, { tickets: [TICKET] }] });
  const { stdout } = await run(['queue', 'tickets', 'chat', '--tenant', 'team-a'], { fetch });
  expect(stdout).toMatch(/req_1 +default\/chat +nightly +team-a +held +waiting +4 +\S+ +paused/);
});

test('what waits is shown in its turn, before what runs; a full page says that there may be more', async () => {
  const running = { ...TICKET, id: 'req_3', state: 'running', position: null, reason: null };
  const tickets = [TICKET, running, { ...TICKET, id: 'req_2', position: 0 }];
  const { fetch } = answering({ '/queues': [200, QUEUES], [`${AT}/tickets`]: [200, { tickets }] });
  const { stdout, stderr } = await run(['queue', 'tickets', '--limit', '3'], { fetch });
  expect(stdout.match(/req_\d/g)).toEqual(['req_2', 'req_1', 'req_3']);
  expect(stderr).toContain('default/chat may have more than these');
});

test.each([
  { args: [], says: 'nothing is in the live order' },
  { args: ['--tenant', 'team-b'], says: 'no such request is in the live order' },
])('an empty order with $args: $says', async ({ args, says }) => {
  const { fetch } = answering({ '/queues': [200, QUEUES], [`${AT}/tickets`]: [200, { tickets: [] }] });
  expect((await run(['queue', 'tickets', ...args], { fetch })).stdout).toContain(says);
});

test.each([
  { place: { kind: 'live', ticket: TICKET }, says: 'because its objective is paused, about 4 before it', exitCode: 0 },
  { place: { kind: 'missing' }, says: 'pilotlight reconcile', exitCode: 0 },
  { place: { kind: 'backlog', isPaused: true }, says: 'paused in BullMQ', exitCode: 0 },
  { place: { kind: 'unknown' }, says: 'nobody knows it', exitCode: 1 },
])('an explanation says $says', async ({ place, says, exitCode }) => {
  const told = { pool: 'default/chat', id: 'req_1', place, job: null };
  const { fetch } = answering({ '/queues': [200, QUEUES], [`${AT}/tickets/req_1`]: [200, told] });
  const answer = await run(['queue', 'explain', 'req_1'], { fetch });
  expect(answer.stdout).toContain(says);
  expect(answer.exitCode).toBe(exitCode);
});

test('a resume says when the policy still holds', async () => {
  const paused = { pool: 'default/chat', objective: 'nightly', paused: { byPolicy: true, byOperator: false } };
  const { fetch } = answering({ '/queues': [200, QUEUES], [`${AT}/objectives/nightly/resume`]: [200, paused] });
  const { stdout } = await run(['queue', 'resume', 'chat', 'nightly'], { fetch });
  expect(stdout).toBe('default/chat: nightly stays paused by its policy (spec.paused)\n');
});

describe('dead letters', () => {
  test('are retried by id, with a failure for those that are none', async () => {
    const answers = [
      { id: 'job_1', kind: 'retried', retriedAs: 'job_1-r1' },
      { id: 'job_2', kind: 'refused', code: 'queue_full', message: 'No room.' },
      { id: 'job_3', kind: 'not_dead' },
    ];
    const { fetch, requests } = answering({
      '/queues': [200, QUEUES],
      [`${AT}/dead/retry`]: [200, { answers, next: null }],
    });
    const answer = await run(['queue', 'dead', 'retry', 'job_1', 'job_2', 'job_3'], { fetch });
    expect(answer.stdout).toBe('job_1\tjob_1-r1\njob_2\trefused: No room. (queue_full)\njob_3\tis no dead letter\n');
    expect(answer).toMatchObject({ exitCode: 1, stderr: '1 retried, 1 refused, 1 no dead letters\n' });
    expect(requests.at(-1)?.body).toEqual({ ids: ['job_1', 'job_2', 'job_3'] });
  });

  test('are purged by choice', async () => {
    const answers = [{ id: 'job_1', kind: 'purged' }];
    const { fetch, requests } = answering({
      '/queues': [200, QUEUES],
      [`${AT}/dead/purge`]: [200, { answers, next: null }],
    });
    const answer = await run(['queue', 'dead', 'purge', '--older-than', '12h'], { fetch });
    expect(answer).toMatchObject({ exitCode: 0, stdout: 'job_1\tpurged\n', stderr: '1 purged\n' });
    expect(requests.at(-1)?.body).toEqual({ olderThan: '12h', all: true, limit: 100 });
  });

  test.each([
    { argv: ['retry'], says: 'name dead letters by their ids' },
    { argv: ['purge', 'job_1', '--all'], says: 'not both' },
    { argv: ['purge', '--older-than', 'soon'], says: 'Write a duration' },
  ])('$argv is refused before anything is asked', async ({ argv, says }) => {
    const { fetch, requests } = answering({});
    const answer = await run(['queue', 'dead', ...argv], { fetch });
    expect(answer.exitCode).toBe(2);
    expect(answer.stderr).toContain(says);
    expect(requests).toEqual([]);
  });
});
