import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { configOf } from '../../../src/config/load-config.ts';
import { compileObjects } from '../../../src/config/objects/compile.ts';
import { documents, probe, texts } from './support.ts';

const examples = readdirSync('examples').filter((file) => file.endsWith('.yaml'));

function read(...files: readonly string[]) {
  const found = documents(Object.fromEntries(files.map((file) => [file, readFileSync(`examples/${file}`, 'utf8')])));
  const loaded = configOf(found, { environment: {}, flags: [] });
  if (!loaded.ok) throw new Error(texts(loaded.problems).join('\n'));
  const { catalog, problems } = compileObjects({
    documents: found.objects,
    settings: loaded.config,
    probe: probe(['python']),
    previous: null,
    modifiedEpochMs: () => 0,
  });
  if (!catalog) throw new Error(texts(problems).join('\n'));
  return { config: loaded.config, catalog, problems: [...found.problems, ...loaded.problems, ...problems] };
}

test.each(examples)('%s is accepted without a problem', (file) => {
  expect(texts(read(file).problems)).toEqual([]);
});

test('local.yaml: interactive before nightly, one pool at zero, a simulated model server', () => {
  const { catalog, config } = read('local.yaml');
  const pool = catalog.pools.get('default/tickets')!;
  expect(pool.targets[0]).toMatchObject({ minReplicas: 0 });
  expect(pool.targets[0]!.process!.command.slice(0, 2)).toEqual(['pilotlight', 'model-sim']);
  expect(catalog.resolveModel('tickets')?.pool).toBe(pool);
  expect(catalog.objectivesOf(pool.key).map(({ name, priority, activation }) => [name, priority, activation])).toEqual([
    ['interactive', 100, 'Immediate'],
    ['nightly', -10, 'Batched'],
  ]);
  expect(config.auth.anonymous).toMatchObject({ trusted: true, defaultObjective: 'interactive' });
});

test('tenants.yaml goes on top of local.yaml', () => {
  const { config, catalog } = read('local.yaml', 'tenants.yaml');
  expect(config.tenants.map(({ identity }) => identity.tenant)).toEqual(['web', 'data-team']);
  expect(config.auth.anonymous).toBeNull();
  for (const { identity } of config.tenants) {
    for (const objective of [identity.defaultObjective, ...(identity.allowedObjectives ?? [])]) {
      expect(catalog.objective('default/tickets', objective ?? ''), `${objective}`).toBeDefined();
    }
  }
});

test('fair.yaml: tenants with weights and quotas, a share for the night, reserved slots and a clock that stops for calls', () => {
  const { config, catalog } = read('fair.yaml');
  const tenants = new Map(config.tenants.map((tenant) => [tenant.identity.tenant, tenant]));
  expect([...tenants.keys()]).toEqual(['app', 'data-team', 'trial', 'gateway']);
  for (const { identity } of tenants.values()) {
    expect(catalog.objective('default/tickets', identity.defaultObjective ?? ''), identity.tenant).toBeDefined();
  }
  expect(catalog.objective('default/tickets', 'interactive')).toMatchObject({
    queueTtlMs: 30_000,
    queueTtlStopsWithoutCapacity: true,
    reservedSlotsPercent: 25,
  });
  expect(catalog.objective('default/tickets', 'nightly')).toMatchObject({
    guaranteedSharePercent: 10,
    agingMs: 3_600_000,
    shedAtPercent: 50,
    mayExtendKeepWarm: false,
    paused: false,
  });
});
