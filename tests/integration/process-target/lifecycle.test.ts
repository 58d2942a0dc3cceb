import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { listProcesses } from '../../../src/autoscaler/adapters/process-target/process-table.ts';
import type { LocalProcesses } from '../../../src/autoscaler/adapters/process-target/process-target.ts';
import type { WarmUpPhase } from '../../../src/core/replicas.ts';
import { poolSpec, scale } from '../../unit/autoscaler/support/builders.ts';
import { alive, until, type Workplace, workplace } from './support.ts';

const pool = poolSpec();
let place: Workplace;
beforeEach(() => {
  place = workplace();
});
afterEach(() => place.close());

const only = (target: LocalProcesses) => target.replicas(pool.key)[0];
const inPhase = (target: LocalProcesses, phase: WarmUpPhase) =>
  until(`a replica is ${phase}`, () => only(target)?.phase === phase && only(target));
/** Sessions of the shims this test process started. */
const sessions = () => {
  const own = listProcesses().find(({ pid }) => pid === process.pid)?.sessionId;
  const children = readdirSync(join(place.dataDir, 'children')).map(
    (name) => JSON.parse(readFileSync(join(place.dataDir, 'children', name), 'utf8')) as { pid: number },
  );
  return children.map(({ pid }) => pid).filter((pid) => pid !== own);
};

test('a replica passes from Requested over ModelLoading to Ready, and its endpoint answers', async () => {
  const target = place.open();
  const phases: WarmUpPhase[] = [];
  target.onReplicaChange(() => {
    const phase = only(target)?.phase;
    if (phase !== undefined && phases.at(-1) !== phase) phases.push(phase);
  });
  await target.start({ pool, target: place.engine(['load-ms=300']), count: 1 });
  expect(target.list(pool.key)).toEqual([]);
  await inPhase(target, 'Ready');
  const [endpoint] = target.list(pool.key);
  expect(phases).toEqual(['Requested', 'ContainerStarted', 'ModelLoading', 'Ready']);
  expect(endpoint).toMatchObject({ pool: pool.key, target: 'gpu', slotsPerEndpoint: 32, draining: false });
  expect(only(target)?.endpointIds).toEqual([endpoint?.id]);
  expect((await fetch(`${endpoint?.url ?? ''}/health`)).status).toBe(200);
});

test('a drained replica stays listed as draining and can be taken back', async () => {
  const target = place.open();
  await target.start({ pool, target: place.engine(), count: 1 });
  const { uid } = await inPhase(target, 'Ready');
  await target.drain(pool.key, [uid]);
  expect(target.list(pool.key)).toMatchObject([{ draining: true }]);
  expect(only(target)?.phase).toBe('Draining');
  await target.undrain(pool.key, [uid]);
  expect(target.list(pool.key)).toMatchObject([{ draining: false }]);
  expect(only(target)?.phase).toBe('Ready');
});

test('changed slots apply to the endpoints that are up', async () => {
  const target = place.open();
  const engine = place.engine();
  await target.start({ pool, target: engine, count: 1 });
  await inPhase(target, 'Ready');
  let told = 0;
  target.onChange(() => {
    told += 1;
  });
  target.configure({ ...pool, targets: [{ ...engine, slotsPerEndpoint: 4 }] });
  target.configure({ ...pool, targets: [{ ...engine, slotsPerEndpoint: 4 }] });
  expect(target.list(pool.key)).toMatchObject([{ slotsPerEndpoint: 4 }]);
  expect(told).toBe(1);
});

test('a draining replica that crashes is gone and not started again', async () => {
  const target = place.open();
  await target.start({ pool, target: place.engine(), count: 1 });
  const { uid } = await inPhase(target, 'Ready');
  const [endpoint] = target.list(pool.key);
  await target.drain(pool.key, [uid]);
  await fetch(`${endpoint?.url ?? ''}/crash`).catch(() => undefined);
  await until('no replica', () => target.replicas(pool.key).length === 0);
  expect(target.list(pool.key)).toEqual([]);
});

test('a stopped replica loses its endpoint at once and is gone when its process has ended', async () => {
  const target = place.open();
  await target.start({ pool, target: place.engine(), count: 2 });
  await until('two endpoints', () => target.list(pool.key).length === 2);
  const pids = sessions();
  const told: number[] = [];
  target.onChange(() => told.push(target.list(pool.key).length));
  await target.stop(
    pool.key,
    target.replicas(pool.key).map(({ uid }) => uid),
  );
  expect(target.list(pool.key)).toEqual([]);
  expect(told).toEqual([1, 0]);
  expect(target.replicas(pool.key)).toMatchObject([{ terminating: true }, { terminating: true }]);
  await until('no replica', () => target.replicas(pool.key).length === 0);
  expect(alive(pids)).toEqual([]);
  expect(sessions()).toEqual([]);
});

test('a replica that ignores SIGTERM, and its stubborn grandchild, are killed after the grace', async () => {
  const target = place.open();
  await target.start({ pool, target: place.engine(['ignore-term', 'stubborn-grandchild']), count: 1 });
  const { uid } = await inPhase(target, 'Ready');
  const pids = sessions();
  await until('a shim, its watcher, the engine and the grandchild', () => alive(pids).length === 4);
  await target.stop(pool.key, [uid]);
  await until('no replica', () => target.replicas(pool.key).length === 0, 5_000);
  expect(alive(pids)).toEqual([]);
});

test('a crashed replica loses its endpoint at once, restarts with a delay and keeps its uid', async () => {
  const target = place.open();
  await target.start({ pool, target: place.engine(), count: 1 });
  const before = await inPhase(target, 'Ready');
  const [endpoint] = target.list(pool.key);
  await fetch(`${endpoint?.url ?? ''}/crash`).catch(() => undefined);
  await until('the endpoint is gone', () => target.list(pool.key).length === 0, 1_000);
  // A failed probe may close the endpoint before the end of the process is heard of.
  const crashed = await until('the crash is counted', () => only(target)?.restarts === 1 && only(target));
  expect(crashed.phase).toBe('Requested');
  expect(crashed.message).toContain('exit code 9; restarting in 1s');
  const after = await inPhase(target, 'Ready');
  expect(after.uid).toBe(before.uid);
  expect(target.list(pool.key)[0]?.id).not.toBe(endpoint?.id);
});

test.each([
  {
    name: 'a command that does not exist',
    command: ['no-such-engine'],
    message: 'command not found: "no-such-engine" is not on the PATH',
  },
  {
    name: 'a path that does not exist',
    command: ['./engine'],
    message: 'command not found: "./engine" is not an executable file',
  },
])('$name makes the replica Stuck with a message', async ({ command, message }) => {
  const target = place.open();
  await target.start({ pool, target: place.engine([], { command }), count: 1 });
  expect((await inPhase(target, 'Stuck')).message).toBe(message);
});

test('a boot that exits makes the replica Stuck with its exit code and last output', async () => {
  const target = place.open();
  await target.start({ pool, target: place.engine(['exit-at-boot']), count: 1 });
  const stuck = await inPhase(target, 'Stuck');
  expect(stuck.message).toBe('exit code 7 while it booted; last output: weights not found');
  await target.stop(pool.key, [stuck.uid]);
  await until('no replica', () => target.replicas(pool.key).length === 0);
});

test('a boot that never becomes ready is Stuck after the boot timeout, and ends when told to', async () => {
  const target = place.open();
  const impatient = { ...pool, scale: { ...scale, bootTimeoutMs: 500 } };
  await target.start({ pool: impatient, target: place.engine(['never-ready']), count: 1 });
  const stuck = await inPhase(target, 'Stuck');
  expect(stuck.message).toContain('not ready after 500ms');
  const pids = sessions();
  await target.stop(pool.key, [stuck.uid]);
  await until('no replica', () => target.replicas(pool.key).length === 0);
  expect(alive(pids)).toEqual([]);
});

test('"pilotlight" as the first word runs this program, and a replica sees nothing of our secrets', async () => {
  const environment = { ...process.env, PILOTLIGHT_REDIS_URL: 'redis://:secret@host', HF_TOKEN: 'secret' };
  const target = place.open({ environment });
  const engine = place.engine([], { command: ['pilotlight', '{port}'], env: { ADDRESS: '{host}:{port}' } });
  await target.start({ pool, target: engine, count: 1 });
  await inPhase(target, 'Ready');
  const url = target.list(pool.key)[0]?.url ?? '';
  const env = (await (await fetch(`${url}/env`)).json()) as Record<string, string>;
  expect(env).toMatchObject({ PATH: process.env['PATH'], ADDRESS: url.replace('http://', '') });
  expect(JSON.stringify(env)).not.toContain('secret');
});

test('the output of a replica goes to a file of limited size', async () => {
  const target = place.open({ maxLogBytes: 200_000 });
  await target.start({ pool, target: place.engine(['noise']), count: 1 });
  const { uid } = await inPhase(target, 'Ready');
  const path = join(place.dataDir, 'replica-logs', `${uid}.log`);
  await until('the old part was moved away', () => statSync(`${path}.1`, { throwIfNoEntry: false }), 15_000);
  await until('the file is written again', () => statSync(path).size > 0);
  expect(readFileSync(path, 'utf8').startsWith('x')).toBe(true);
});
