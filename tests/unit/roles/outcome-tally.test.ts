import { expect, test } from 'vitest';
import type { CallRunner, DispatchRequest, DispatchResult, ResponseSink } from '../../../src/core/dispatch.ts';
import { PilotlightError } from '../../../src/core/errors.ts';
import { OutcomeTally } from '../../../src/roles/outcome-tally.ts';

const REFUSED: DispatchResult = { kind: 'rejected', error: new PilotlightError('rate_limit_exceeded', 'later') };

test.each([
  ['a call that is refused is counted', 'held', 1],
  ['a job that is parked is not: it has not ended', 'stored', 0],
  ['nor is a row', 'row', 0],
])('%s', async (_what, kind, rejected) => {
  const runner: CallRunner = { run: () => Promise.resolve(REFUSED) };
  const tally = new OutcomeTally(runner);
  const request = { call: { pool: 'default/chat' }, ticket: { kind, objective: 'chat' } } as unknown as DispatchRequest;
  await tally.run(request, {} as ResponseSink, { signal: new AbortController().signal });
  expect(tally.outcomes('default/chat', 'chat').rejected).toBe(rejected);
});
