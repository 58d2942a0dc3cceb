import { expect, test } from 'vitest';
import { redisFailure } from '../../../src/platform/redis/connection.ts';
import { defineScript, loadLua, runLua } from '../../../src/platform/redis/script.ts';
import { useRedis } from '../../support/redis.ts';

const redis = useRedis();
const files = ['shared.lua', 'raise.lua'].map((name) => new URL(`./lua/${name}`, import.meta.url));
const raise = defineScript({
  files,
  keys: ['counter'],
  args: ['amount'],
  parse: (reply) => ({ counter: Number(reply) }),
});

test('a script is called with names and answers parsed; files are joined in order', async () => {
  const call = { keys: { counter: 'by-name' }, args: { amount: 3 } };
  expect(await raise(redis.client, call)).toEqual({ counter: 6 });
  expect(await raise(redis.client, { ...call, rest: [10, '20'] })).toEqual({ counter: 42 });
});

test('a server that has forgotten the script is sent it again, and each call runs once', async () => {
  const call = { keys: { counter: 'forgotten' }, args: { amount: 1 } };
  await raise(redis.client, call);
  await redis.client.script('FLUSH');
  const replies = await Promise.all([raise(redis.client, call), raise(redis.client, call)]);
  expect(replies).toEqual([{ counter: 4 }, { counter: 6 }]);
});

test('an error inside the script is a refusal that names the command', async () => {
  const call = raise(redis.client, { keys: { counter: 'wrong' }, args: { amount: 'three' } });
  const error = await call.catch((thrown: unknown) => thrown);
  expect(redisFailure(error)).toBe('refused');
});

test('buffers pass through unchanged as arguments', async () => {
  const bytes = Buffer.from([0, 255, 13, 10]);
  const script = loadLua(new URL('./lua/store.lua', import.meta.url));
  await runLua(redis.client, script, ['bytes'], [bytes]);
  expect(await redis.client.getBuffer('bytes')).toEqual(bytes);
});
