import { expect, test } from 'vitest';
import { isJobId } from '../../../../src/queue/policy/backlog/stored-ticket.ts';

test.each([
  { id: 'job_0193-abc', ok: true },
  { id: 'a', ok: true },
  { id: '12345', ok: false },
  { id: '0', ok: false },
  { id: '1a', ok: true },
  { id: 'with:colon', ok: false },
  { id: 'with space', ok: false },
  { id: '', ok: false },
  { id: '{tag}', ok: false },
  { id: 'x'.repeat(128), ok: true },
  { id: 'x'.repeat(129), ok: false },
])('isJobId: "$id" → $ok', ({ id, ok }) => {
  expect(isJobId(id)).toBe(ok);
});
