import { expect, test } from 'vitest';
import { configOf } from '../../../../src/config/load-config.ts';
import { compileObjects } from '../../../../src/config/objects/compile.ts';
import { newApiKey } from '../../../../src/simulate/demo/api-key.ts';
import { keyPrefix, objectsYaml } from '../../../../src/simulate/demo/objects-yaml.ts';
import type { DemoTuning } from '../../../../src/simulate/demo-options.ts';
import { documents, probe, texts } from '../../config/support.ts';

const tuning: DemoTuning = {
  maxReplicas: 2,
  slotsPerEndpoint: 8,
  speed: 4,
  bootStartMs: 100,
  bootLoadMs: 900,
  keepWarmMs: 1_500,
  rowPaceMs: 1,
  leastChatsMs: 1,
  leastDueMs: 1,
  rowsAfterMs: 1,
};
const chats = newApiKey();
const rows = newApiKey();
const yaml = objectsYaml({
  runId: 'demo-20261122-174501-ab12',
  dataDir: '/tmp/a folder: "odd"/data',
  tuning,
  chatsKeyHash: chats.hash,
  rowsKeyHash: rows.hash,
});

function loaded() {
  const found = documents({ 'demo.yaml': yaml });
  const settings = configOf(found, { environment: {}, flags: [] });
  if (!settings.ok) throw new Error(texts(settings.problems).join('\n'));
  const { catalog, problems } = compileObjects({
    documents: found.objects,
    settings: settings.config,
    probe: probe(),
    previous: null,
    modifiedEpochMs: () => 0,
  });
  return { config: settings.config, catalog, problems: [...settings.problems, ...problems] };
}

test('Pilotlight takes the file without a complaint', () => {
  expect(texts(loaded().problems)).toEqual([]);
});

test('chats are interactive and the batch is nightly, by who calls', () => {
  const { tenants } = loaded().config;
  expect(tenants.map(({ identity, keys }) => [identity.defaultObjective, keys])).toEqual([
    ['interactive', [chats.hash]],
    ['nightly', [rows.hash]],
  ]);
});

test('the pool sleeps until it is asked, and its replicas are simulators with the wanted size', () => {
  const pool = loaded().catalog?.pools.get('default/tickets');
  expect(pool?.targets[0]).toMatchObject({ minReplicas: 0, maxReplicas: 2, slotsPerEndpoint: 8 });
  const command = pool?.targets[0]?.process?.command ?? [];
  expect(command.slice(0, 2)).toEqual(['pilotlight', 'model-sim']);
  // The simulator divides its boot by the speed.
  expect(command).toEqual(expect.arrayContaining(['--speed=4', '--boot-start=400ms', '--boot-load=3600ms']));
});

test('keys of the run have a prefix of their own, and the folder may have any name', () => {
  const { config } = loaded();
  expect(config.redis.keyPrefix).toBe(keyPrefix('demo-20261122-174501-ab12'));
  expect(config.data.dir).toBe('/tmp/a folder: "odd"/data');
});

test('no secret is in the file', () => {
  expect(yaml).not.toContain(chats.secret);
  expect(yaml).not.toContain(rows.secret);
});
