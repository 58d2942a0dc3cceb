import { expect, test } from 'vitest';
import type { Autoscaler } from '../../../src/autoscaler/autoscaler.ts';
import type { Leadership } from '../../../src/core/kubernetes.ts';
import { Terms } from '../../../src/roles/cluster/terms.ts';
import { FakeClock, settleMicrotasks } from '../../support/fake-clock.ts';
import { silentLogger } from '../../support/silent-logger.ts';

/** Holds a Lease when told to. */
class FakeLeadership implements Leadership {
  #term: number | null = null;
  readonly #listeners = new Set<(isLeader: boolean) => void>();

  isLeader(): boolean {
    return this.#term !== null;
  }

  term(): number | null {
    return this.#term;
  }

  onChange(listener: (isLeader: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Changes without a word, as a Lease that ran out does. */
  set(term: number | null): void {
    this.#term = term;
  }

  become(term: number | null): void {
    this.#term = term;
    for (const listener of this.#listeners) listener(term !== null);
  }
}

class World {
  readonly leadership = new FakeLeadership();
  readonly clock = new FakeClock();
  /** "start 1", "stop 1": what happened to which autoscaler. */
  readonly told: string[] = [];
  failingStarts = 0;
  readonly terms: Terms;
  #opened = 0;

  constructor() {
    this.terms = new Terms({
      leadership: this.leadership,
      clock: this.clock,
      log: silentLogger,
      open: () => this.#open(),
    });
  }

  #open(): Autoscaler {
    this.#opened += 1;
    const number = this.#opened;
    let isStopped = false;
    const autoscaler = {
      start: () => {
        this.told.push(`start ${number}`);
        if (this.failingStarts === 0) return Promise.resolve();
        this.failingStarts -= 1;
        return Promise.reject(new Error('Redis is away'));
      },
      stop: () => {
        if (!isStopped) this.told.push(`stop ${number}`);
        isStopped = true;
        return Promise.resolve();
      },
    };
    return autoscaler as unknown as Autoscaler;
  }
}

test('each term has an autoscaler of its own, and between terms there is none', async () => {
  const { terms, leadership, told } = new World();
  expect(terms.current).toBeNull();
  leadership.become(1);
  await settleMicrotasks();
  expect(terms.current).not.toBeNull();
  leadership.become(null);
  await settleMicrotasks();
  expect(terms.current).toBeNull();
  leadership.become(3);
  await settleMicrotasks();
  expect(told).toEqual(['start 1', 'stop 1', 'start 2']);
  await terms.close();
  expect(told.at(-1)).toBe('stop 2');
});

test('a term lost and won again in one breath gets a new autoscaler', async () => {
  const { terms, leadership, told } = new World();
  leadership.become(1);
  await settleMicrotasks();
  leadership.set(2);
  leadership.become(2);
  await settleMicrotasks();
  expect(told).toEqual(['start 1', 'stop 1', 'start 2']);
  await terms.close();
});

test('a term that could not begin is tried again until it does', async () => {
  const world = new World();
  world.failingStarts = 2;
  world.leadership.become(1);
  await settleMicrotasks();
  expect(world.terms.current).toBeNull();
  await world.clock.advance(1_000);
  await world.clock.advance(1_000);
  expect(world.told).toEqual(['start 1', 'stop 1', 'start 2', 'stop 2', 'start 3']);
  expect(world.terms.current).not.toBeNull();
  await world.terms.close();
});

test('a term that cannot begin does not outlive the process', async () => {
  const world = new World();
  world.failingStarts = Number.POSITIVE_INFINITY;
  world.leadership.become(1);
  await settleMicrotasks();
  await world.terms.close();
  await settleMicrotasks();
  expect(world.clock.sleeping).toBe(0);
  expect(world.told).toEqual(['start 1', 'stop 1']);
});
