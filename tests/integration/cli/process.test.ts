import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The program as a user starts it. `meanwhile` sees its stdout grow and may signal it. */
function pilotlight(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  meanwhile: (stdout: string, kill: (signal: NodeJS.Signals) => void) => void = () => undefined,
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['src/main.ts', ...args], {
      env: { PATH: process.env['PATH'], ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 60_000,
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
      meanwhile(stdout, (signal) => child.kill(signal));
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}

test('help, and a command that is none', async () => {
  const [help, unknown] = await Promise.all([pilotlight(['--help']), pilotlight(['sreve'])]);
  expect(help).toMatchObject({ code: 0, stderr: '' });
  expect(help.stdout).toContain('pilotlight demo');
  expect(unknown).toMatchObject({ code: 2, stdout: '' });
});

test('every problem of a broken setup in one go, exit code 2', async () => {
  const { code, stderr } = await pilotlight(['serve', '-f', 'examples/none.yaml', '--port', 'http'], {
    PILOTLIGHT_TIMEOUTS_IDLE: '30',
  });
  expect(stderr.trimEnd().split('\n')).toEqual([
    '--port: server.port: "http" is not a whole number from 0 to 65535',
    'examples/none.yaml: cannot be read: no such file or folder; check the -f argument',
    'PILOTLIGHT_TIMEOUTS_IDLE: timeouts.idle: "30" is not a duration; write a whole number with a unit, like "250ms", "30s", "15m" or "1h30m"',
  ]);
  expect(code).toBe(2);
});

test('a reader that closes the pipe early does no harm', async () => {
  const command = `"${process.execPath}" src/main.ts config schema | head -c 10`;
  const ended = await new Promise<Ended>((resolve) => {
    const child = spawn('sh', ['-c', command], { stdio: ['ignore', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
  expect(ended.stderr).toBe('');
  expect(ended.stdout).toHaveLength(10);
});

test('Ctrl-C ends a watch with 0 and a wait with 130', async () => {
  const report = { version: '1', installation: 'x', startedAtEpochMs: 0, nowEpochMs: 0, ready: true, problems: [] };
  const redis = { source: 's', version: '8', reachable: true };
  const server = createServer((req, res) => {
    const body = req.url === '/status' ? { ...report, redis, pools: [] } : { id: 'job_1', status: 'queued' };
    res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  let signalled = false;
  const watch = await pilotlight(['status', '--watch', '--every', '50ms', '--admin-url', url], {}, (stdout, kill) => {
    if (!signalled && stdout.split('"x"').length > 2) {
      signalled = true;
      kill('SIGINT');
    }
  });
  expect(watch).toMatchObject({ code: 0, stderr: '' });

  let asked = 0;
  const waiting = spawn(process.execPath, ['src/main.ts', 'jobs', 'result', 'job_1', '--wait', '--url', url], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  waiting.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  server.on('request', () => {
    asked += 1;
    if (asked === 2) waiting.kill('SIGTERM');
  });
  const code = await new Promise((resolve) => waiting.on('close', resolve));
  await new Promise((resolve) => server.close(resolve));
  expect([stderr, code]).toEqual(['pilotlight: stopped by SIGTERM\n', 130]);
});
