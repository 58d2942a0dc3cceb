import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, test } from 'vitest';
import { alive, until } from './support.ts';

// The shim has to behave the same in whatever /bin/sh is, and without rights of any kind.
const NOBODY = 65_534;
const shells = ['/usr/bin/dash', '/bin/bash', '/bin/sh'].filter((shell) => existsSync(shell));
const users = process.getuid?.() === 0 ? [undefined, NOBODY] : [undefined];
const cases = shells.flatMap((shell) =>
  users.map((uid) => ({ shell, uid, user: uid === undefined ? 'own user' : 'nobody' })),
);

let folder = '';
let shim = '';
let child: ChildProcess | null = null;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pilotlight-shim-'));
  chmodSync(folder, 0o755);
  shim = join(folder, 'shim.sh');
  copyFileSync(
    fileURLToPath(new URL('../../../src/autoscaler/adapters/process-target/shim.sh', import.meta.url)),
    shim,
  );
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => child?.kill('SIGKILL'));

function run(shell: string, uid: number | undefined, script: string) {
  child = spawn(shell, [shim, '1', '/bin/sh', '-c', script], {
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    cwd: '/',
    env: { PATH: process.env['PATH'] },
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  const pipe = child.stdio[3] as Duplex;
  let report = '';
  pipe.on('data', (chunk: Buffer) => {
    report += chunk.toString();
  });
  pipe.on('error', () => undefined);
  const pid = child.pid ?? 0;
  return {
    pid,
    pipe,
    report: () => report,
    gone: () => until('the group is gone', () => alive([pid]).length === 0, 4_000),
  };
}

describe.each(cases)('the shim in $shell as $user', ({ shell, uid }) => {
  test('tells the exit code', async () => {
    const { report, gone } = run(shell, uid, 'exit 7');
    await gone();
    await until('a report', () => report() === '7\n');
  });

  test('passes TERM on and tells what the command made of it', async () => {
    const { pid, report, gone } = run(shell, uid, "trap 'exit 5' TERM; while :; do sleep 0.05; done");
    // The sleep comes after the trap: a signal before it would end the command by its default.
    await until('shim, watcher, command and its sleep', () => alive([pid]).length >= 4);
    process.kill(pid, 'SIGTERM');
    process.kill(pid, 'SIGTERM');
    await gone();
    await until('a report', () => report() === '5\n');
  });

  test('tells a death by signal as 128 and its number', async () => {
    const { report, gone } = run(shell, uid, 'kill -KILL $$');
    await gone();
    await until('a report', () => report() === '137\n');
  });

  test('ends what the command leaves running', async () => {
    const { gone } = run(shell, uid, "(trap '' TERM; exec sleep 1000) & exit 0");
    await gone();
  });

  test('ends everything when the other end of its socket closes, whoever ignores TERM', async () => {
    const { pid, pipe, gone } = run(shell, uid, "trap '' TERM; sleep 1000 & sleep 1000 & wait; sleep 1000");
    await until('all of them', () => alive([pid]).length >= 5);
    pipe.destroy();
    await gone();
  });
});
