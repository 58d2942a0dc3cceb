import { expect, test } from 'vitest';
import { serverConfig } from '../../../../src/platform/local-redis/server-files.ts';

const record = { port: 40_123, password: 'secret' };

test('the server listens on loopback only, wants the password, evicts nothing and loads a cut-off file', () => {
  const lines = serverConfig('/data', record, { persistence: 'aof', databases: 16 }).split('\n');
  for (const line of [
    'bind 127.0.0.1',
    'port 40123',
    'requirepass secret',
    'maxmemory-policy noeviction',
    'aof-load-truncated yes',
  ]) {
    expect(lines).toContain(line);
  }
});

test.each([
  { persistence: 'aof', line: 'appendonly yes' },
  { persistence: 'none', line: 'appendonly no' },
] as const)('$persistence is "$line"', ({ persistence, line }) => {
  expect(serverConfig('/data', record, { persistence, databases: 16 }).split('\n')).toContain(line);
});

test('a folder with quotes, backslashes and spaces stays one word', () => {
  expect(serverConfig('/my "own" \\data', record, { persistence: 'aof', databases: 16 })).toContain(
    'dir "/my \\"own\\" \\\\data"',
  );
});
