import { afterEach, expect, test } from 'vitest';
import { type ErrorDetails, PilotlightError } from '../../../src/core/errors.ts';
import {
  DROPPED_REASON_HEADER,
  FLOW_OUTCOME_NAMES,
  FLOW_OUTCOMES,
  type FlowOutcomeName,
} from '../../../src/core/flow-outcomes.ts';
import { errorAnswer } from '../../../src/ingress/policy/error-answer.ts';
import { BODY, CHAT, FlowWorld, type FlowWorldOptions, STALLS, THINKS } from './flow-world.ts';
import { until } from './rig.ts';

let world: FlowWorld;
afterEach(() => world.close());

/** `stream`: the error is told inside a stream that has begun. `gone`: nobody is left to be told. */
type Told = Response | { readonly stream: string } | 'gone';

interface Case {
  readonly world?: FlowWorldOptions;
  readonly provoke: () => Promise<Told>;
}

const send = (headers: Record<string, string> = {}, body: unknown = BODY) => world.rig.post(CHAT, body, headers);

/** Takes the only slot, and the one place in the queue behind it. */
async function fill(): Promise<void> {
  await world.leave();
  await world.leave();
}

async function waits(ms: number): Promise<Response> {
  await world.leave();
  const { response } = await world.leave();
  await world.clock.advance(ms);
  return response;
}

const refusingJobs = (code: PilotlightError['code'], details: ErrorDetails = {}): Case => ({
  world: { submit: () => Promise.resolve({ kind: 'rejected', error: new PilotlightError(code, 'not now', details) }) },
  provoke: () => world.rig.post('/v1/jobs', BODY),
});

const CASES: Readonly<Record<FlowOutcomeName, Case>> = {
  dispatched: { provoke: () => send() },
  rejected_pool_full: {
    world: { script: THINKS, pool: { maxRequests: 1 }, objective: { shedAtPercent: 100 } },
    async provoke() {
      await fill();
      return send();
    },
  },
  rejected_objective_full: {
    world: { script: THINKS, objective: { maxStoredRequests: 1 } },
    async provoke() {
      await fill();
      return send();
    },
  },
  rejected_tenant_full: {
    world: { script: THINKS },
    provoke() {
      world.nextEntry = { kind: 'rejected', reason: 'queue_full', limit: 'tenantMaxRequests', usedPercent: 100 };
      return send();
    },
  },
  rejected_shed: {
    world: { script: THINKS, pool: { maxRequests: 2 }, objective: { shedAtPercent: 50 } },
    async provoke() {
      await fill();
      return send();
    },
  },
  rejected_no_capacity: { world: { script: null, blockedWhy: 'three boots failed' }, provoke: () => send() },
  rejected_no_endpoints: {
    world: { script: null, pool: { maxRequests: 1 }, objective: { shedAtPercent: 100 } },
    async provoke() {
      await world.leave();
      return send();
    },
  },
  rejected_paused: {
    provoke() {
      world.nextEntry = { kind: 'rejected', reason: 'paused', limit: '', usedPercent: 0 };
      return send();
    },
  },
  rejected_rate: {
    world: { quota: { kind: 'refused', limit: 'requestsPerMinute', limitPerMinute: 60, afterMs: 900 } },
    provoke: () => send(),
  },
  rejected_held_calls: {
    world: { script: THINKS, settings: { maxHeldCalls: 1 } },
    async provoke() {
      await world.leave();
      return send();
    },
  },
  rejected_held_bytes: { world: { settings: { maxHeldBytes: 10 } }, provoke: () => send() },
  rejected_draining: {
    provoke() {
      world.rig.readiness = { kind: 'draining', reason: 'the process is stopping' };
      return send();
    },
  },
  rejected_queue_unavailable: {
    async provoke() {
      await send();
      world.link.connection = 'down';
      const response = send();
      await advanceUntil(response);
      return response;
    },
  },
  rejected_idempotency_conflict: {
    world: { script: THINKS },
    async provoke() {
      await world.leave({ 'idempotency-key': 'order-1' });
      return send({ 'idempotency-key': 'order-1' }, { ...BODY, temperature: 1 });
    },
  },
  rejected_idempotency_in_progress: {
    world: { script: THINKS },
    async provoke() {
      await world.leave({ 'idempotency-key': 'order-1' });
      return send({ 'idempotency-key': 'order-1' });
    },
  },
  rejected_store_unavailable: refusingJobs('store_unavailable'),
  rejected_store_full: refusingJobs('store_full'),
  rejected_accept_unknown: refusingJobs('accept_unknown', { retryAfterMs: 2_000 }),
  evicted_ttl: { world: { script: THINKS, objective: { queueTtlMs: 2_000 } }, provoke: () => waits(5_000) },
  evicted_ttl_no_capacity: {
    world: { script: null, objective: { queueTtlMs: 2_000 } },
    async provoke() {
      const { response } = await world.leave();
      await world.clock.advance(5_000);
      return response;
    },
  },
  evicted_deadline: {
    world: { script: THINKS },
    async provoke() {
      await world.leave();
      const running = world.runStored(world.clock.epochMs() + 2_000, { signal: new AbortController().signal });
      await world.clock.advance(5_000);
      const result = await running;
      if (result.kind !== 'failed') throw new Error(`it is ${result.kind}`);
      // What GET /v1/jobs/{id}/result answers.
      const { status, headers, body } = errorAnswer(result.error);
      return new Response(body, { status, headers });
    },
  },
  evicted_max_hold: { world: { script: THINKS, settings: { maxHoldMs: 2_000 } }, provoke: () => waits(5_000) },
  evicted_displaced: {
    world: { script: THINKS },
    provoke() {
      world.nextEntry = { kind: 'evicted', reason: 'displaced' };
      return send();
    },
  },
  evicted_cancelled: {
    world: { script: THINKS },
    async provoke() {
      await world.leave();
      const client = new AbortController();
      const left = fetch(`${world.rig.url}${CHAT}`, {
        method: 'POST',
        headers: { authorization: 'Bearer sk-acme', 'content-type': 'application/json' },
        body: JSON.stringify(BODY),
        signal: client.signal,
      }).catch(() => 'gone' as const);
      await until(() => world.link.executed.filter(({ op }) => op === 'admit').length === 2, 'the call to wait');
      client.abort();
      await until(async () => (await world.left('evicted_cancelled')) === 1, 'the call to leave');
      return left;
    },
  },
  evicted_draining: {
    world: { script: THINKS },
    async provoke() {
      await world.leave();
      const { response } = await world.leave();
      world.openCalls.endAll();
      return response;
    },
  },
  evicted_lost: {
    provoke() {
      world.nextEntry = { kind: 'evicted', reason: 'lost' };
      return send();
    },
  },
  revoked_lost: {
    world: { script: STALLS },
    async provoke() {
      const { response } = await world.leave({}, { ...BODY, stream: true });
      const begun = await response;
      // The process stood still for so long that others may have its slot.
      world.clock.freeze(30_000);
      const text = begun.text();
      await advanceUntil(text);
      return { stream: await text };
    },
  },
  revoked_draining: {
    world: { script: THINKS },
    async provoke() {
      const { response } = await world.leave();
      await until(() => world.modelServer.openCalls === 1, 'the model server to be asked');
      world.openCalls.endAll();
      return response;
    },
  },
};

/** Lets time pass until this has ended. */
async function advanceUntil(end: Promise<unknown>): Promise<void> {
  let isOver = false;
  void end.finally(() => (isOver = true)).catch(() => undefined);
  await until(async () => {
    await world.clock.advance(500);
    return isOver;
  }, 'the request to end');
}

test.each(FLOW_OUTCOME_NAMES)('%s is told and counted as the table says', async (name) => {
  const { world: options = {}, provoke } = CASES[name];
  world = new FlowWorld(options);
  await world.open();
  const told = await provoke();
  const { code, droppedReason, retryAfter } = FLOW_OUTCOMES[name];
  await until(async () => (await world.left(name)) === 1, 'it to be counted');
  if (told === 'gone') return;
  if ('stream' in told) {
    expect(told.stream).toContain(`: pilotlight dropped=${droppedReason ?? ''} retry-after-ms=7000\n\n`);
    expect(told.stream).toContain(`"code":"${code ?? ''}"`);
    return;
  }
  expect(told.headers.get(DROPPED_REASON_HEADER)).toBe(droppedReason);
  if (code === null) {
    expect(told.status).toBe(200);
    return;
  }
  const { httpStatus, type, retryable } = new PilotlightError(code, '');
  expect(told.status).toBe(httpStatus);
  expect(await told.json()).toMatchObject({ error: { code, type } });
  expect(told.headers.get('x-should-retry')).toBe(retryable || httpStatus === 499 ? null : 'false');
  const seconds = { queue: ['7'], quota: ['1'], fixed: ['1', '2'], none: [null] }[retryAfter];
  expect(seconds).toContain(told.headers.get('retry-after'));
  expect(told.headers.has('retry-after-ms')).toBe(retryAfter !== 'none');
});

test('every 429 and 503 of flow control says when to come back', () => {
  world = new FlowWorld({});
  for (const [name, { code, retryAfter }] of Object.entries(FLOW_OUTCOMES)) {
    const status = code === null ? 200 : new PilotlightError(code, '').httpStatus;
    if (status === 429 || status === 503) expect(retryAfter, name).not.toBe('none');
  }
});

const AWAY = new PilotlightError('queue_unavailable', 'Redis does not answer.', { retryAfterMs: 1_000 });
const KEYS_AWAY = {
  ...{ hashOf: () => 'hash', endJob: () => Promise.resolve(), endCall: () => Promise.resolve() },
  ...{ claimJob: () => Promise.reject(AWAY), claimCall: () => Promise.reject(AWAY), restore: () => Promise.resolve() },
};

test.each([
  ['the rates of its tenant', { quota: AWAY }, CHAT, {}],
  ['its key, as a call', { keys: KEYS_AWAY }, CHAT, { 'idempotency-key': 'order-1' }],
  ['its key, as a job', { keys: KEYS_AWAY }, '/v1/jobs', { 'idempotency-key': 'order-1' }],
])('what cannot be queued because %s cannot be looked up is counted once', async (_what, options, path, headers) => {
  world = new FlowWorld(options);
  await world.open();
  const response = await world.rig.post(path, BODY, headers);
  expect(response.status).toBe(503);
  expect(response.headers.get(DROPPED_REASON_HEADER)).toBe('rejected-queue-unavailable');
  expect(await world.left('rejected_queue_unavailable')).toBe(1);
});
