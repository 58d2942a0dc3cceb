import { expect, test } from 'vitest';
import { loadOk, loadProblems } from './support.ts';

test('sentinels, a cluster and passwords are given as every other setting', () => {
  const env = {
    PILOTLIGHT_REDIS_SENTINEL_NODES: '["s-0:26379", "[::1]:26380"]',
    PILOTLIGHT_REDIS_SENTINEL_PASSWORD: '1234',
    PILOTLIGHT_REDIS_PASSWORD: 'p4ss',
  };
  const { config } = loadOk({ env, set: ['redis.sentinel.masterName=queue'] });
  expect(config.redis).toMatchObject({
    url: null,
    sentinel: { nodes: ['s-0:26379', '[::1]:26380'], masterName: 'queue', password: '1234', database: 0 },
    password: 'p4ss',
  });
});

test.each([
  [
    'a URL beside nodes',
    { env: { PILOTLIGHT_REDIS_URL: 'redis://h', PILOTLIGHT_REDIS_CLUSTER_NODES: '[a:1]' } },
    'one of several places where Redis is said to be',
  ],
  [
    'sentinels beside nodes',
    { spec: '  redis: {sentinel: {nodes: ["a:1"]}, cluster: {nodes: ["a:1"]}}\n' },
    'one of several places where Redis is said to be',
  ],
  ['a database in a cluster', { spec: '  redis: {cluster: {nodes: ["a:1"], database: 3}}\n' }, 'unknown key'],
  ['no port', { spec: '  redis: {cluster: {nodes: ["a"]}}\n' }, '"a" is not an address; write like'],
  [
    'a password beside a URL',
    { env: { PILOTLIGHT_REDIS_URL: 'redis://h', PILOTLIGHT_REDIS_PASSWORD: 's3cret' } },
    'redis.password: is for sentinel.nodes and cluster.nodes; write it into the url',
  ],
  ['a masked password', { env: { PILOTLIGHT_REDIS_PASSWORD: '***' } }, 'is a masked password'],
  [
    'a certificate without its key',
    { spec: '  redis: {url: "rediss://h", tls: {certFile: c.pem}}\n' },
    'redis.tls.keyFile: is missing: a certificate is shown with its key',
  ],
  [
    'TLS with a URL in plain text',
    { spec: '  redis: {url: "redis://h", tls: {enabled: true}}\n' },
    'the url says plain text; write rediss://',
  ],
  ['a password as a flag', { set: ['redis.password=s3cret'] }, 'the process list shows flags to everybody'],
])('%s is refused with the remedy, and no secret is told', (_name, settings, says) => {
  const problems = loadProblems(settings);
  expect(problems.join('\n')).toContain(says);
  expect(problems.join('\n')).not.toContain('s3cret');
});
