import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { listProcesses } from '../../../src/autoscaler/adapters/process-target/process-table.ts';
import { alive, until, type Workplace, workplace } from './support.ts';

const OWNER = fileURLToPath(new URL('./owner.ts', import.meta.url));
/** Shim, its watcher, the engine, and the engine's grandchild that ignores SIGTERM. */
const PROCESSES_EACH = 4;

let place: Workplace;
let owner: ChildProcess | null = null;
beforeEach(() => {
  place = workplace();
});
afterEach(async () => {
  owner?.kill('SIGKILL');
  await place.close();
});

function startOwner(count: number): ChildProcess {
  const command = place.engine(['ignore-term', 'stubborn-grandchild']).process?.command ?? [];
  owner = spawn(process.execPath, [OWNER, place.dataDir, `${count}`, ...command], { stdio: 'inherit' });
  return owner;
}

/** Sessions of the children that the owner has written down. */
function sessions(): readonly number[] {
  const folder = join(place.dataDir, 'children');
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((name) => sessionIn(join(folder, name)));
}

/** None while the file gets its name, and after it was removed. */
function sessionIn(path: string): readonly number[] {
  try {
    return [(JSON.parse(readFileSync(path, 'utf8')) as { pid: number }).pid];
  } catch {
    return [];
  }
}

/** Processes that carry this test's folder in their command line, however they were started. */
function ofThisTest(): readonly number[] {
  return listProcesses()
    .filter(({ pid, state }) => state !== 'Z' && pid !== process.pid && pid !== owner?.pid)
    .map(({ pid }) => pid)
    .filter((pid) => commandLineOf(pid).includes(place.folder));
}

function commandLineOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

test('kill -9 of Pilotlight ends every child, a grandchild that ignores SIGTERM included', async () => {
  startOwner(3);
  const running = await until('three complete children', () => {
    const found = sessions();
    return found.length === 3 && alive(found).length === 3 * PROCESSES_EACH && found;
  });
  owner?.kill('SIGKILL');
  await until('nothing is left', () => alive(running).length === 0, 5_000);
});

test('kill -9 while many children are being started leaves none of them', async () => {
  startOwner(24);
  await until('some children are on their way', () => ofThisTest().length >= 6);
  owner?.kill('SIGKILL');
  await until('nothing is left', () => ofThisTest().length === 0, 15_000);
});

test('children whose shim was killed together with Pilotlight are ended by the next start', async () => {
  startOwner(1);
  const running = await until('a complete child', () => {
    const found = sessions();
    return found.length === 1 && alive(found).length === PROCESSES_EACH && found;
  });
  owner?.kill('SIGSTOP');
  const shells = alive(running).filter((pid) => commandLineOf(pid).includes('shim.sh'));
  for (const pid of shells) process.kill(pid, 'SIGKILL');
  owner?.kill('SIGKILL');
  await until('the owner is gone', () => owner?.signalCode === 'SIGKILL');
  await until('the shells are gone, engine and grandchild are left', () => alive(running).length === 2);
  place.open();
  await until('the sweep has ended them', () => alive(running).length === 0, 1_000);
  expect(sessions()).toEqual([]);
});

test('the children of a Pilotlight that still runs are not swept by another one', async () => {
  startOwner(1);
  const running = await until('a complete child', () => {
    const found = sessions();
    return found.length === 1 && alive(found).length === PROCESSES_EACH && found;
  });
  place.open();
  expect(alive(running)).toHaveLength(PROCESSES_EACH);
});
