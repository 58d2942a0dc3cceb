import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { useRedis } from '../support/redis.ts';
import { demo, processesOf } from './demo-rig.ts';

const redis = useRedis();
const withTestRedis = () => ({ PILOTLIGHT_REDIS_URL: redis.url });

test('a small demo finishes every request, goes back to zero and leaves nothing running', async () => {
  const { exitCode, summary, progress, output, files, folder, runId } = await demo({ tuning: { bootLoadMs: 2_500 } });
  expect(`${summary}${progress}`).toContain('66 accepted requests have one outcome each');
  expect(exitCode).toBe(0);
  expect(summary).toContain('66 texts are right to the byte');
  expect(progress).toMatch(/autoscaler: goes from 0 to 1/);
  expect(progress).toMatch(/chat 1 is told ": pilotlight phase=/);
  expect(progress).toContain('the pool is at zero again');
  expect(progress).toContain('batch: completed, 60 rows in the output file, 0 in the error file');
  expect(output.map(({ custom_id }) => custom_id)).toEqual(tickets(60));
  expect([...files].sort()).toEqual(['data', 'demo.yaml', 'results.jsonl', 'serve.log', 'tickets.jsonl']);
  expect(await processesOf(runId)).toEqual([]);
  expect(await bundledRedisIsGone(folder)).toBe(true);
});

test('kill -9 of the serving process in mid-run loses no row and repeats none', async () => {
  const { exitCode, summary, progress, output, runId } = await demo({
    options: { jobs: 200, killServerAfterMs: 2_500 },
    environment: withTestRedis(),
  });
  expect(progress).toMatch(/the serving process died \(SIGKILL\)/);
  expect(`${summary}${progress}`).not.toContain('Not as promised');
  expect(exitCode).toBe(0);
  expect(summary).toContain('the serving process died once and was started again');
  expect(output.map(({ custom_id }) => custom_id)).toEqual(tickets(200));
  expect(await processesOf(runId)).toEqual([]);
});

test('an interrupted demo stops everything and says so', async () => {
  const interrupted = new AbortController();
  const { exitCode, summary, progress, runId } = await demo({
    options: { signal: interrupted.signal },
    environment: withTestRedis(),
    onProgress: (text) => {
      if (text.includes('has its first token')) interrupted.abort(new Error('Ctrl-C'));
    },
  });
  expect(exitCode).toBe(130);
  expect(progress).toContain('Interrupted.');
  expect(summary).toBe('');
  expect(await processesOf(runId)).toEqual([]);
});

test("nothing is left in the user's own Redis", async () => {
  await redis.client.flushdb();
  const { exitCode } = await demo({ options: { jobs: 10, chats: 1 }, environment: withTestRedis() });
  expect(exitCode).toBe(0);
  expect(await redis.client.keys('*')).toEqual([]);
});

test('a batch alone is done as well', async () => {
  const { exitCode, summary } = await demo({ options: { jobs: 40, chats: 0 }, environment: withTestRedis() });
  expect(exitCode).toBe(0);
  expect(summary).toContain('asleep: no chat;  awake: no chat');
});

test('a Redis that is not there is told in one sentence, and nothing is left running', async () => {
  const environment = { PILOTLIGHT_REDIS_URL: 'redis://127.0.0.1:1' };
  await expect(demo({ environment })).rejects.toThrow(/Redis cannot be used .*check the URL/);
});

test('a setting that does not exist is told, and nothing is started', async () => {
  const flags = [{ flag: '--set', path: 'timeouts.maxHoldd', text: '5m' }];
  const { exitCode, progress } = await demo({ options: { flags } });
  expect(exitCode).toBe(2);
  expect(progress).toMatch(/no such setting.*maxHold/);
});

test('chats alone need no file', async () => {
  const { exitCode, summary, files } = await demo({ options: { jobs: 0, chats: 2 }, environment: withTestRedis() });
  expect(exitCode).toBe(0);
  expect(summary).toContain('2 accepted requests have one outcome each');
  expect(files).not.toContain('tickets.jsonl');
});

/** Numbers of the tickets of the first so many rows. */
function tickets(count: number): readonly string[] {
  return Array.from({ length: count }, (_row, index) => `T-${100_000 + index}`);
}

async function bundledRedisIsGone(folder: string): Promise<boolean> {
  const record = JSON.parse(await readFile(join(folder, 'data', 'redis', 'server.json'), 'utf8')) as {
    process: { pid: number };
  };
  return access(`/proc/${record.process.pid}/exe`).then(
    () => false,
    () => true,
  );
}
