import { expect, test } from 'vitest';
import { maskRedisUrl, parseRedisUrl } from '../../../../src/platform/redis/url.ts';

test.each([
  { name: 'a bare host', url: 'redis://cache' },
  { name: 'user, password, port and database', url: 'redis://app:s3cret@10.0.0.5:6380/3' },
  { name: 'TLS', url: 'rediss://:s3cret@redis.example:6379/0' },
  { name: 'an IPv6 host', url: 'redis://[::1]:6379' },
])('$name is accepted', ({ url }) => {
  expect(parseRedisUrl(url)).toMatchObject({ ok: true });
});

test.each([
  { name: 'no protocol', url: 'localhost:s3cret', problem: 'starts with "localhost:"' },
  { name: 'another protocol', url: 'https://:s3cret@cache', problem: 'starts with "https:"' },
  { name: 'no host', url: 'redis:///3', problem: 'names no host' },
  { name: 'a database that is no number', url: 'redis://:s3cret@cache/jobs', problem: 'not a database number' },
  { name: 'something unreadable', url: 's3cret', problem: 'cannot be read' },
])('$name is refused without repeating the text', ({ url, problem }) => {
  const parsed = parseRedisUrl(url);
  expect(parsed).toMatchObject({ ok: false });
  expect(JSON.stringify(parsed)).toContain(JSON.stringify(problem).slice(1, -1));
  expect(JSON.stringify(parsed)).not.toContain('s3cret');
});

test.each([
  { url: 'redis://app:s3cret@cache:6380/3', shown: 'redis://app:***@cache:6380/3' },
  { url: 'redis://cache', shown: 'redis://cache' },
  { url: 'redis://cache?password=s3cret', shown: 'redis://cache' },
  { url: 's3cret', shown: '(unreadable Redis URL)' },
])('$shown is how an address may be shown', ({ url, shown }) => {
  expect(maskRedisUrl(url)).toBe(shown);
});
