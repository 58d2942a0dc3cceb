import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { LogFields, Logger } from '../../../src/core/logger.ts';
import { pickerMetrics } from '../../../src/picker/metrics.ts';
import { MetricsPoller } from '../../../src/picker/metrics-poller.ts';
import { DEFAULT_POLL_INTERVALS, nextPollMs } from '../../../src/picker/policy/poll-plan.ts';
import type { EngineObservation } from '../../../src/picker/ports.ts';
import { FakeClock, settleMicrotasks } from '../../support/fake-clock.ts';
import { endpoint, FakeDirectory, POOL } from './support.ts';

let clock: FakeClock;
let directory: FakeDirectory;
let registry: Registry;
let observations: EngineObservation[];
let scrapes: string[];
let events: string[];
let busy: boolean;
let answer: () => Promise<string>;
let poller: MetricsPoller;

const log: Logger = {
  debug: (_fields: LogFields, event) => void events.push(event),
  info: (_fields: LogFields, event) => void events.push(event),
  warn: (_fields: LogFields, event) => void events.push(event),
  error: () => undefined,
  child: () => log,
};

beforeEach(() => {
  clock = new FakeClock(50_000);
  directory = new FakeDirectory([endpoint('a')]);
  registry = new Registry();
  observations = [];
  scrapes = [];
  events = [];
  busy = false;
  answer = () => Promise.resolve('vllm:num_requests_running 2\nvllm:num_requests_waiting 1\n');
  poller = new MetricsPoller({
    pool: POOL,
    directory,
    source: {
      scrape: (url) => {
        scrapes.push(url);
        return answer();
      },
    },
    isBusy: () => busy,
    onObservation: (observation) => observations.push(observation),
    clock,
    random: { next: () => 0.5 },
    log,
    metrics: pickerMetrics(registry),
  });
});

afterEach(async () => {
  poller.close();
  await settleMicrotasks();
  expect(clock.sleeping).toBe(0);
  expect(directory.listeners).toBe(0);
});

test('an endpoint is scraped at once, then every second', async () => {
  await settleMicrotasks();
  expect(observations).toMatchObject([
    { endpointId: 'a', startedAtEpochMs: 50_000, metrics: { runningRequests: 2, waitingRequests: 1 } },
  ]);
  await clock.advance(3_000);
  expect(scrapes).toHaveLength(4);
});

test('while calls are in flight it is scraped five times a second, from its next turn on', async () => {
  busy = true;
  await clock.advance(1_000);
  expect(scrapes).toHaveLength(2);
  await clock.advance(1_000);
  expect(scrapes).toHaveLength(7);
});

test('one that hangs is not asked a second time meanwhile', async () => {
  await settleMicrotasks();
  answer = () => new Promise(() => undefined);
  await clock.advance(60_000);
  expect(scrapes).toHaveLength(2);
});

test('failures slow it down, tell nobody anything, and are logged once', async () => {
  await settleMicrotasks();
  answer = () => Promise.reject(new Error('refused'));
  await clock.advance(60_000);
  expect(scrapes.length).toBeLessThan(16);
  expect(observations).toHaveLength(1);
  expect(events).toEqual(['scrape.failed', 'scrape.silent']);
  answer = () => Promise.resolve('vllm:num_requests_running 0\n');
  await clock.advance(8_000);
  expect(observations.length).toBeGreaterThan(3);
});

test('one that tells nothing for ten seconds is said once, counted, and said again when it tells', async () => {
  const silent = async () => /silent_endpoints\{pool="[^"]+"\} (\d)/.exec(await registry.metrics())?.[1];
  answer = () => Promise.reject(new Error('refused'));
  await clock.advance(9_000);
  expect(await silent()).toBe('0');
  await clock.advance(60_000);
  expect(await silent()).toBe('1');
  expect(events).toEqual(['scrape.failed', 'scrape.silent']);
  answer = () => Promise.resolve('vllm:num_requests_running 0\n');
  await clock.advance(8_000);
  expect(await silent()).toBe('0');
  expect(events).toEqual(['scrape.failed', 'scrape.silent', 'scrape.heard_again']);
  answer = () => Promise.resolve('up 1\n');
  await clock.advance(30_000);
  expect(await silent()).toBe('1');
  directory.set(endpoint('b'));
  expect(await silent()).toBe('0');
});

test('endpoints come and go with the directory, and their series too', async () => {
  await settleMicrotasks();
  expect(await registry.metrics()).toContain('model_server_pod="a"');
  directory.set(endpoint('b'));
  await settleMicrotasks();
  expect(scrapes).toEqual(['http://a', 'http://b']);
  expect(await registry.metrics()).not.toContain('model_server_pod="a"');
  await clock.advance(1_000);
  expect(scrapes).toEqual(['http://a', 'http://b', 'http://b']);
});

test('a server that reports no known metric is counted as such', async () => {
  answer = () => Promise.resolve('up 1\n');
  directory.set(endpoint('b'));
  await settleMicrotasks();
  expect(await registry.metrics()).toContain('result="unknown_engine"');
});

test.each([
  { name: 'idle', busy: false, failures: 0, draw: 0.5, want: 1_000 },
  { name: 'busy', busy: true, failures: 0, draw: 0.5, want: 200 },
  { name: 'jitter below', busy: false, failures: 0, draw: 0, want: 900 },
  { name: 'jitter above', busy: false, failures: 0, draw: 1, want: 1_100 },
  { name: 'after a failure', busy: true, failures: 1, draw: 0.5, want: 400 },
  { name: 'after many', busy: true, failures: 99, draw: 0.5, want: 5_000 },
])('the pause when $name', ({ busy: isBusy, failures, draw, want }) => {
  expect(nextPollMs(DEFAULT_POLL_INTERVALS, isBusy, failures, draw)).toBeCloseTo(want);
});
