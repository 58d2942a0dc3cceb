import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { effectiveSettings } from '../../../src/config/effective-settings.ts';
import { configOf } from '../../../src/config/load-config.ts';
import { printJson, printYaml } from '../../../src/config/print-config.ts';
import { documents, loadOk } from './support.ts';

const hash = fc.stringMatching(/^[0-9a-f]{64}$/).map((hex) => `sha256:${hex}`);
const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}[a-z0-9]$/);
const duration = fc
  .tuple(fc.integer({ min: 1, max: 10_000 }), fc.constantFrom('ms', 's', 'm'))
  .map((parts) => parts.join(''));
const size = fc
  .tuple(fc.integer({ min: 1, max: 10_000 }), fc.constantFrom('B', 'Ki', 'Mi', 'k', 'M'))
  .map((parts) => parts.join(''));
const caller = {
  weight: fc.integer({ min: 1, max: 1_000 }),
  trusted: fc.boolean(),
  defaultObjective: fc.option(name),
  allowedObjectives: fc.option(fc.array(name, { maxLength: 3 })),
  // Model names may be anything: YAML's special words, numbers, unicode, line breaks.
  allowedModels: fc.option(
    fc.array(
      fc.string({ minLength: 1, maxLength: 12 }).filter((text) => text.trim() === text && text !== ''),
      { maxLength: 3 },
    ),
  ),
};
const optional = <T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record(fields, { requiredKeys: [] });
const spec = optional({
  installation: name,
  server: optional({ port: fc.integer({ min: 0, max: 8_000 }), exposeEndpoint: fc.boolean() }),
  redis: optional({ url: fc.constantFrom(null, 'redis://h:1/2', 'rediss://user@h') }),
  data: optional({ dir: fc.constantFrom('a b', './x: y', '# no', 'null', '123') }),
  auth: fc.record({ anonymous: optional({ enabled: fc.constantFrom(null, true), tenant: name, ...caller }) }),
  tenants: fc.uniqueArray(fc.record({ name, keys: fc.array(hash, { minLength: 1, maxLength: 2 }), ...caller }), {
    selector: (tenant) => tenant.name,
    maxLength: 3,
  }),
  limits: optional({
    body: size,
    heldBytes: size,
    heldCalls: fc.integer({ min: 1, max: 9 }),
    jobResultRetention: duration,
  }),
  timeouts: optional({ maxHold: duration, idle: duration }),
  picker: optional({ plugins: fc.constantFrom([], [{ type: 'queue-scorer', weight: 0 }, { type: 'random-picker' }]) }),
  log: optional({ level: fc.constantFrom('debug', 'silent') }),
});

function configured(document: unknown) {
  const loaded = configOf(documents({ 'app.yaml': JSON.stringify(document) }), { environment: {}, flags: [] });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  return loaded;
}

test('what is printed, as YAML and as JSON, configures the same again', () => {
  fc.assert(
    fc.property(spec, (written) => {
      const first = configured({ apiVersion: 'pilotlight.dev/v1alpha1', kind: 'Configuration', spec: written });
      const settings = effectiveSettings(first.written);
      expect(configured(parse(printYaml(settings))).config).toEqual(first.config);
      const json = JSON.parse(printJson(settings)) as { configuration: unknown };
      expect(configured(json.configuration).config).toEqual(first.config);
    }),
    { numRuns: 200 },
  );
});

test('each value names its source', () => {
  const { written } = loadOk({
    spec: '  server: {port: 1}\n',
    env: { PILOTLIGHT_ADMIN_PORT: '2' },
    set: ['log.level=warn'],
  });
  const text = printYaml(effectiveSettings(written));
  expect(text).toContain('    port: 1 # app.yaml:4:18\n');
  expect(text).toContain('    port: 2 # PILOTLIGHT_ADMIN_PORT\n');
  expect(text).toContain('    level: warn # --set log.level\n');
  expect(text).toContain('    body: 10Mi # default\n');
  expect(text).toContain('      enabled: null # default: only when server.host is a loopback address\n');
});

test('a password is masked, and the rest of its URL is not', () => {
  const settings = effectiveSettings(loadOk({ env: { PILOTLIGHT_REDIS_URL: 'redis://me:hunter2@host:1/2' } }).written);
  for (const text of [printYaml(settings), printJson(settings)]) {
    expect(text).not.toContain('hunter2');
    expect(text).toContain('redis://me:***@host:1/2');
  }
});

test('a key file named relative to its own file is printed so that it is found from anywhere', () => {
  const tenants = [{ name: 'a', keys: [`sha256:${'0'.repeat(64)}`], keysFile: 'keys.txt' }];
  const value = { value: tenants, locate: () => 'x', layer: 'file' as const, file: '/etc/pilotlight/app.yaml' };
  const settings = effectiveSettings(new Map([['tenants', value]]));
  expect(settings.find(({ path }) => path[0] === 'tenants')!.value).toMatchObject([
    { keysFile: '/etc/pilotlight/keys.txt' },
  ]);
});
