import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type KubeApi, KubeApiError, type KubeRequest } from '../../../../src/core/kubernetes.ts';
import { seededRandom } from '../../../../src/core/random.ts';
import { electLeader, type LeaderElection } from '../../../../src/platform/kubernetes/leader.ts';
import { FakeClock, settleMicrotasks } from '../../../support/fake-clock.ts';
import { silentLogger } from '../../../support/silent-logger.ts';

interface Lease {
  metadata: { name: string; resourceVersion: string };
  spec: { holderIdentity?: string; leaseTransitions: number; renewTime: string; acquireTime: string };
}

/** One Lease with optimistic locking. */
class LeaseServer implements KubeApi {
  lease: Lease | null = null;
  trouble: 'none' | 'refuses' | 'hangs' | 'forbids' = 'none';
  readonly asked: string[] = [];
  readonly #clock: FakeClock;
  #version = 1;

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  async request({ method, path, body, signal, timeoutMs = 10_000 }: KubeRequest): Promise<unknown> {
    await Promise.resolve();
    this.asked.push(`${method} ${path}`);
    if (this.trouble === 'hangs') await this.#clock.sleep(timeoutMs, signal);
    if (this.trouble === 'forbids') throw new KubeApiError('leases is forbidden', { status: 403, reason: 'Forbidden' });
    if (this.trouble !== 'none') throw new KubeApiError('not reached', { status: 0 });
    if (method === 'GET') {
      if (!this.lease) throw new KubeApiError('not found', { status: 404 });
      return this.lease;
    }
    const written = body as Lease;
    const isAsRead =
      method === 'POST' ? !this.lease : this.lease?.metadata.resourceVersion === written.metadata.resourceVersion;
    if (!isAsRead) throw new KubeApiError('the object has been modified', { status: 409, reason: 'Conflict' });
    this.#version += 1;
    this.lease = { ...written, metadata: { ...written.metadata, resourceVersion: String(this.#version) } };
    return this.lease;
  }
}

let clock: FakeClock;
let server: LeaseServer;
const started: LeaderElection[] = [];

beforeEach(() => {
  clock = new FakeClock();
  server = new LeaseServer(clock);
});

afterEach(async () => {
  server.trouble = 'none';
  for (const one of started.splice(0)) await one.release();
});

function join(identity: string, api: KubeApi = server): LeaderElection {
  const random = seededRandom(started.length);
  const options = { api, namespace: 'pilotlight', name: 'pilotlight-controller', identity, clock, random };
  const candidate = electLeader({ ...options, log: silentLogger });
  started.push(candidate);
  return candidate;
}

test('the first candidate leads at once, and a second waits and says for whom', async () => {
  const one = join('one');
  await settleMicrotasks();
  expect(one.isLeader()).toBe(true);
  expect(one.why()).toBeNull();
  expect(server.lease?.spec).toMatchObject({ holderIdentity: one.identity, leaseDurationSeconds: 15 });
  const two = join('two');
  await clock.advance(60_000);
  expect([one.isLeader(), two.isLeader()]).toEqual([true, false]);
  expect(two.term()).toBeNull();
  expect(two.why()).toBe(`Lease pilotlight/pilotlight-controller is held by ${one.identity}`);
});

test('a leader renews with one request all two seconds', async () => {
  join('one');
  await clock.advance(60_000);
  const writes = server.asked.filter((line) => line.startsWith('PUT')).length;
  expect(writes).toBeGreaterThan(24);
  expect(writes).toBeLessThan(36);
  expect(server.asked.filter((line) => line.startsWith('GET'))).toHaveLength(1);
});

test('a Lease that is given up is taken within a retry, with a higher term', async () => {
  const one = join('one');
  await settleMicrotasks();
  const two = join('two');
  await clock.advance(5_000);
  const term = one.term()!;
  const heard: boolean[] = [];
  one.onChange((isLeader) => heard.push(isLeader));
  await one.release();
  expect(one.isLeader()).toBe(false);
  expect(heard).toEqual([false]);
  expect(server.lease?.spec.holderIdentity).toBeUndefined();
  await clock.advance(2_300);
  expect(two.isLeader()).toBe(true);
  expect(two.term()).toBe(term + 1);
});

test('a leader that falls silent is succeeded after the duration, not before', async () => {
  const dead = new LeaseServer(clock);
  const one = join('one', {
    request: (request) => (dead.trouble === 'none' ? server : dead).request(request),
  });
  await settleMicrotasks();
  const two = join('two');
  await clock.advance(30_000);
  dead.trouble = 'refuses';
  await clock.advance(12_500);
  expect([one.isLeader(), two.isLeader()]).toEqual([false, false]);
  await clock.advance(7_500);
  expect([one.isLeader(), two.isLeader()]).toEqual([false, true]);
});

describe.each(['refuses', 'hangs'] as const)('an API server that %s', (trouble) => {
  test('ends the lead ten seconds after the last renewal, and not long after it is back it leads again', async () => {
    const one = join('one');
    await clock.advance(10_000);
    const heard: [boolean, number][] = [];
    const failedAtMs = clock.monotonicMs();
    one.onChange((isLeader) => heard.push([isLeader, clock.monotonicMs() - failedAtMs]));
    const term = one.term()!;
    server.trouble = trouble;
    await clock.advance(20_000);
    expect(one.isLeader()).toBe(false);
    expect(heard).toHaveLength(1);
    expect(heard[0]![0]).toBe(false);
    expect(heard[0]![1]).toBeGreaterThan(7_000);
    expect(heard[0]![1]).toBeLessThanOrEqual(10_000);
    expect(one.why()).toContain('Lease pilotlight/pilotlight-controller: not reached');
    server.trouble = 'none';
    await clock.advance(7_000);
    expect(one.isLeader()).toBe(true);
    expect(one.term()).toBe(term + 1);
  });
});

test('a process that stood still does not lead when it wakes', async () => {
  const one = join('one');
  await settleMicrotasks();
  clock.freeze(10_000);
  expect(one.isLeader()).toBe(false);
  expect(one.term()).toBeNull();
});

test('without the right to Leases it does not lead, says what is missing, and keeps trying', async () => {
  server.trouble = 'forbids';
  const one = join('one');
  await clock.advance(10_000);
  expect(one.isLeader()).toBe(false);
  expect(one.why()).toBe(
    'Lease pilotlight/pilotlight-controller: leases is forbidden; ' +
      'needs a Role with get, create and update on leases.coordination.k8s.io',
  );
  server.trouble = 'none';
  await clock.advance(3_000);
  expect(one.isLeader()).toBe(true);
});

test('a Lease that someone deletes is waited out, and its term is never used again', async () => {
  const one = join('one');
  await clock.advance(10_000);
  const term = one.term()!;
  server.lease = null;
  await clock.advance(5_000);
  expect(one.isLeader()).toBe(false);
  await clock.advance(16_000);
  expect(one.isLeader()).toBe(true);
  expect(one.term()).toBeGreaterThan(term);
});

test('two processes of one name are two candidates', async () => {
  const one = join('same');
  await settleMicrotasks();
  const two = join('same');
  await clock.advance(30_000);
  expect([one.isLeader(), two.isLeader()]).toEqual([true, false]);
});

test('release ends a wait at once, and a second release is no harm', async () => {
  server.trouble = 'hangs';
  const one = join('one');
  await settleMicrotasks();
  server.trouble = 'refuses';
  await Promise.all([one.release(), one.release(), one.done]);
  expect(clock.sleeping).toBe(0);
});

test('a renewal that was cut off by the release is found and given up', async () => {
  const one = join('one');
  await settleMicrotasks();
  let isHeld = false;
  const through = server.request.bind(server);
  server.request = async (request) => {
    const answer = await through(request);
    // The write is done, its answer never comes.
    if (isHeld && request.method === 'PUT' && request.signal) await clock.sleep(60_000, request.signal);
    return answer;
  };
  isHeld = true;
  await clock.advance(2_300);
  const leaving = one.release();
  isHeld = false;
  await leaving;
  expect(server.lease?.spec.holderIdentity).toBeUndefined();
});
