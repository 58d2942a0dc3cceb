import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { Fault } from './demo-fake-serve.ts';
import { type DemoEnd, demo, processesOf } from './demo-rig.ts';

const FAKE = fileURLToPath(new URL('demo-fake-serve.ts', import.meta.url));

function faulty(fault: Fault, jobs = 8): Promise<DemoEnd> {
  return demo({
    self: [process.execPath, FAKE],
    options: { jobs, chats: 2 },
    tuning: { leastChatsMs: 300 },
    environment: { PILOTLIGHT_TEST_FAULT: fault },
  });
}

test('a server without a fault passes the check', async () => {
  const { exitCode, summary, runId } = await faulty('none');
  expect(summary).toContain('10 accepted requests have one outcome each, and 10 texts are right to the byte');
  expect(exitCode).toBe(0);
  expect(await processesOf(runId)).toEqual([]);
});

test.each<{ fault: Fault; says: RegExp }>([
  { fault: 'wrong text', says: /1 rows have a wrong text: T-100003/ },
  { fault: 'row twice', says: /1 lines of the output repeat a row/ },
  { fault: 'row missing', says: /1 accepted rows have no outcome: T-100003/ },
  { fault: 'wrong order', says: /1 lines of the output are not in the order of the input/ },
  { fault: 'failed row', says: /1 rows did not complete: T-100003/ },
  { fault: 'invalid file', says: /batch batch_1 is failed: line 4 is no JSON/ },
  { fault: 'two batches', says: /2 batches were made of one file/ },
  { fault: 'cut chat', says: /chat 1 failed: the connection broke/ },
])('a server with the fault "$fault" is found out: exit 1', async ({ fault, says }) => {
  const { exitCode, summary } = await faulty(fault);
  expect(summary).toMatch(says);
  expect(summary).toContain('Not as promised');
  expect(exitCode).toBe(1);
});

test('429 is waited out as the server asks, and told as shed', async () => {
  const { exitCode, summary } = await faulty('busy');
  expect(exitCode).toBe(0);
  expect(summary).toMatch(/nightly +-10 +8 +8 +0 +5 /);
});

test('a server that cannot start ends the demo with its own words', async () => {
  await expect(faulty('no start')).rejects.toThrow(/the data folder is read-only/);
});

test('a server that forgets what it accepted when it dies is found out', async () => {
  const { exitCode, summary, progress } = await faulty('dies');
  expect(progress).toContain('the serving process died (exit code 9)');
  expect(progress).toContain('does not know batch batch_1 any more');
  expect(summary).toMatch(/8 accepted rows have no outcome/);
  expect(exitCode).toBe(1);
});
