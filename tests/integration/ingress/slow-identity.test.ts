import { afterEach, expect, test } from 'vitest';
import { PilotlightError } from '../../../src/core/errors.ts';
import type { Identity } from '../../../src/core/identity.ts';
import type { Authenticator } from '../../../src/ingress/ports.ts';
import { identity } from '../../unit/ingress/support/fake-catalog.ts';
import { type Rig, startRig, until } from './rig.ts';

const CALL = { model: 'tiny', messages: [{ role: 'user', content: 'hi' }] };

/** Answers when the test says so. */
class SlowAuthenticator implements Authenticator {
  readonly waiting: ((decided: Identity | PilotlightError) => void)[] = [];

  authenticate(): Promise<Identity | PilotlightError> {
    return new Promise((resolve) => this.waiting.push(resolve));
  }
}

let rig: Rig;
afterEach(() => rig.close());

async function start() {
  const slow = new SlowAuthenticator();
  rig = await startRig({ authenticator: slow });
  return slow;
}

test('a call whose token is still being checked is answered like any other once it is known', async () => {
  const slow = await start();
  const answers = [rig.post('/v1/chat/completions', CALL), rig.get('/v1/models')];
  await until(() => slow.waiting.length === 2, 'both ask who calls');
  expect(await rig.metric('pilotlight_ingress_held_calls')).toBe(0);
  for (const decide of slow.waiting) decide(identity());
  expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200]);
});

test('a refusal that comes late is an error like any other', async () => {
  const slow = await start();
  const answers = [rig.post('/v1/chat/completions', CALL), rig.get('/v1/models')];
  await until(() => slow.waiting.length === 2, 'both ask who calls');
  const refusal = new PilotlightError('identity_unavailable', 'Nobody knows.', { retryAfterMs: 2_000 });
  for (const decide of slow.waiting) decide(refusal);
  for (const answer of await Promise.all(answers)) {
    expect(answer.status).toBe(503);
    expect(answer.headers.get('retry-after')).toBe('2');
    expect(await answer.json()).toMatchObject({ error: { code: 'identity_unavailable' } });
  }
});

test('a client that leaves while its token is checked takes no place among the held calls', async () => {
  const slow = await start();
  const leaving = new AbortController();
  const call = fetch(`${rig.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: 'Bearer x', 'content-type': 'application/json' },
    body: JSON.stringify(CALL),
    signal: leaving.signal,
  }).catch(() => 'left');
  await until(() => slow.waiting.length === 1, 'it asks who calls');
  leaving.abort();
  expect(await call).toBe('left');
  await until(async () => (await rig.metric('pilotlight_ingress_requests_total')) === 1, 'the gateway sees it leave');
  slow.waiting[0]!(identity());
  const next = rig.get('/v1/models');
  await until(() => slow.waiting.length === 2, 'the next one asks');
  slow.waiting[1]!(identity());
  expect((await next).status).toBe(200);
  expect(await rig.metric('pilotlight_ingress_held_calls')).toBe(0);
  expect(rig.runner.requests).toEqual([]);
});
