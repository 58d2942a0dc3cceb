import { expect, test } from 'vitest';
import { redisFailure } from '../../../../src/platform/redis/connection.ts';

class ReplyError extends Error {
  override readonly name = 'ReplyError';
}

test.each([
  { name: 'an answer of the server', error: new ReplyError('WRONGTYPE'), want: 'refused' },
  {
    name: 'no connection',
    error: new Error("Stream isn't writeable and enableOfflineQueue options is false"),
    want: 'not_sent',
  },
  { name: 'a timeout', error: new Error('Command timed out'), want: 'unknown' },
  { name: 'anything else', error: 'odd', want: 'unknown' },
])('$name means $want', ({ error, want }) => {
  expect(redisFailure(error)).toBe(want);
});
