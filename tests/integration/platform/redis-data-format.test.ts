import { expect, test } from 'vitest';
import { keepDataFormat } from '../../../src/platform/redis/data-format.ts';
import { useRedis } from '../../support/redis.ts';

const redis = useRedis();

const start = (installation: string, known: number, written: number) =>
  keepDataFormat(redis.client, { keyPrefix: redis.prefix, installation }, { known, written });

test('releases that read what is there start beside each other; one that cannot is refused and changes nothing', async () => {
  await start('upgraded', 1, 1);
  await start('upgraded', 2, 1);
  await start('upgraded', 1, 1);
  await start('upgraded', 2, 2);
  await expect(start('upgraded', 1, 1)).rejects.toThrow('data of format 2 for installation "upgraded"');
  await start('upgraded', 3, 2);
  expect(await redis.client.get(`${redis.prefix}:{upgraded}:format`)).toBe('2');
  await start('another', 1, 1);
});
