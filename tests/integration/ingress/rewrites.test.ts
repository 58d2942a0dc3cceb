import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Catalog } from '../../../src/core/objects.ts';
import { fakeCatalog } from '../../unit/ingress/support/fake-catalog.ts';
import { type Rig, startRig } from './rig.ts';

const messages = [{ role: 'user', content: 'hi' }];
let rig: Rig;
let chances: number[];

/** Calls for "tiny" go on as the adapter "tiny-sql". */
const rewriting: Catalog = {
  ...fakeCatalog(),
  rewrite(resolution, model, random) {
    chances.push(random);
    return model === 'tiny' ? fakeCatalog().resolveModel('tiny-sql')! : resolution;
  },
};

beforeEach(async () => {
  chances = [];
  rig = await startRig({ catalog: rewriting });
});
afterEach(() => rig.close());

test('a call goes to the model server under the name that a rewrite gave it, with its adapter', async () => {
  await rig.post('/v1/chat/completions', { model: 'tiny', messages });
  const call = rig.runner.requests[0]!.call;
  expect(call).toMatchObject({ model: 'tiny', servedModel: 'sql-lora', adapter: 'sql-lora' });
  expect(JSON.parse(Buffer.from(call.body).toString())).toMatchObject({ model: 'sql-lora' });
  expect(chances).toHaveLength(1);
  expect(chances[0]).toBeGreaterThanOrEqual(0);
  expect(chances[0]).toBeLessThan(1);
});

test('a job is stored under the name that it was given once, so that a retry does not draw again', async () => {
  const answer = await rig.post('/v1/chat/completions', { model: 'tiny', messages }, { prefer: 'respond-async' });
  const { id } = (await answer.json()) as { id: string };
  const stored = await rig.jobs.get(id, 'acme');
  expect(stored?.spec).toMatchObject({ model: 'tiny', servedModel: 'sql-lora', adapter: 'sql-lora' });
  expect(JSON.parse(rig.jobs.bodies.get(id)!)).toMatchObject({ model: 'sql-lora' });
});

test('a call that no rewrite is about goes on as it came', async () => {
  await rig.post('/v1/chat/completions', { model: 'tiny-sql', messages });
  expect(rig.runner.requests[0]!.call).toMatchObject({ model: 'tiny-sql', servedModel: 'sql-lora' });
});
