import { describe, expect, test } from 'vitest';
import { environmentName } from '../../../src/config/environment.ts';
import { configurationSchema, LEAVES } from '../../../src/config/schema/configuration.ts';
import { load, loadOk, loadProblems } from './support.ts';

const HASH = `sha256:${'a'.repeat(64)}`;

describe('what a setting means', () => {
  test('nothing set: the documented defaults, in milliseconds and bytes', () => {
    const { config, problems } = loadOk({});
    expect(problems).toEqual([]);
    expect(config.server).toEqual({ host: '127.0.0.1', port: 8080, exposeEndpoint: false });
    expect(config.limits).toMatchObject({
      bodyBytes: 10 * 1024 ** 2,
      heldBytes: 1024 ** 3,
      heldCalls: 10_000,
      storedRequests: 50_000,
      storedBytes: 1024 ** 3,
      jobResultRetentionMs: 86_400_000,
    });
    expect(config.timeouts).toMatchObject({ maxHoldMs: 600_000, drainMs: 30_000 });
    expect(config.redis.url).toBeNull();
  });

  test('a file, over it the environment, over it a flag', () => {
    const spec = '  server: {port: 1}\n  admin: {port: 1}\n  timeouts: {idle: 1s}\n';
    const { config } = loadOk({
      spec,
      env: { PILOTLIGHT_SERVER_PORT: '2', PILOTLIGHT_ADMIN_PORT: '2' },
      set: ['server.port=3'],
    });
    expect([config.server.port, config.admin.port, config.timeouts.idleMs]).toEqual([3, 2, 1_000]);
  });

  test('a later file wins over an earlier one, setting by setting', () => {
    const head = 'apiVersion: pilotlight.dev/v1alpha1\nkind: Configuration\nspec:\n';
    const both = `  server: {port: 1, host: localhost}\n---\n${head}  server: {port: 2}\n`;
    expect(loadOk({ spec: both }).config.server).toMatchObject({ port: 2, host: 'localhost' });
  });

  test('text stays text wherever it comes from, and lists and mappings are YAML', () => {
    const { config } = loadOk({
      env: {
        PILOTLIGHT_REDIS_KEY_PREFIX: '123',
        PILOTLIGHT_AUTH_ANONYMOUS_SERVICE_TIERS: '{flex: nightly}',
        PILOTLIGHT_TENANTS: `[{name: a, keys: ["${HASH}"]}]`,
      },
      set: ['installation=null', 'auth.anonymous.trusted=true'],
    });
    expect(config.redis.keyPrefix).toBe('123');
    expect(config.installation).toBe('null');
    expect(config.auth.anonymous).toMatchObject({ trusted: true, serviceTiers: { flex: 'nightly' } });
    expect(config.tenants).toMatchObject([{ identity: { tenant: 'a' }, keys: [HASH] }]);
  });

  test('an empty variable and an empty section are not set', () => {
    expect(loadOk({ spec: '  server:\n', env: { PILOTLIGHT_SERVER_PORT: '' } }).config.server.port).toBe(8080);
  });

  test('a key hash may be written in capitals', () => {
    const spec = `  tenants: [{name: a, keys: ["SHA256:${'A'.repeat(64)}"]}]\n`;
    expect(loadOk({ spec: spec.replace('SHA256', 'sha256') }).config.tenants[0]!.keys).toEqual([HASH]);
  });
});

describe('callers without a key', () => {
  test.each([
    { name: 'are served on loopback', spec: '  server: {host: "::1"}\n', served: true },
    {
      name: 'are refused elsewhere',
      spec: `  server: {host: 0.0.0.0}\n  tenants: [{name: a, keys: ["${HASH}"]}]\n`,
      served: false,
    },
    {
      name: 'can be refused on loopback too',
      spec: `  auth: {anonymous: {enabled: false}}\n  tenants: [{name: a, keys: ["${HASH}"]}]\n`,
      served: false,
    },
  ])('$name', ({ spec, served }) => {
    expect(loadOk({ spec }).config.auth.anonymous !== null).toBe(served);
  });

  test('allowing them off loopback is possible, with a warning', () => {
    const { config, problems } = loadOk({ spec: '  server: {host: 0.0.0.0}\n  auth: {anonymous: {enabled: true}}\n' });
    expect(config.auth.anonymous?.tenant).toBe('anonymous');
    expect(problems.map((problem) => `${problem.source} ${problem.message}`)).toEqual([
      'app.yaml:5:31 whoever reaches 0.0.0.0:8080 can use the models without a key',
    ]);
  });
});

const SECTIONS = Object.keys(configurationSchema.shape).sort().join(', ');

const BAD_SPECS: readonly { name: string; spec: string; want: readonly string[] }[] = [
  {
    name: 'a key with a typo',
    spec: '  server:\n    prot: 8081\n',
    want: ['app.yaml:5:5: server.prot: unknown key; did you mean "port"?'],
  },
  {
    name: 'a section with a typo',
    spec: '  sevrer: {}\n',
    want: ['app.yaml:4:3: sevrer: unknown key; did you mean "server"?'],
  },
  {
    name: 'a key that is like no other',
    spec: '  log: {colour: true}\n',
    want: ['app.yaml:4:9: log.colour: unknown key; allowed here: level'],
  },
  {
    name: 'a section that is no mapping',
    spec: '  server: 8080\n',
    want: ['app.yaml:4:11: server: 8080 is not a mapping of keys'],
  },
  {
    name: 'a duration without a unit',
    spec: '  timeouts: {idle: 30, overall: "30"}\n',
    want: [
      'app.yaml:4:20: timeouts.idle: 30 has no unit; write text like "30s"',
      'app.yaml:4:33: timeouts.overall: "30" is not a duration; write a whole number with a unit, like "250ms", "30s", "15m" or "1h30m"',
    ],
  },
  {
    name: 'a duration of nothing',
    spec: '  timeouts: {connect: 0s}\n',
    want: ['app.yaml:4:23: timeouts.connect: must be longer than 0; write for example "1s"'],
  },
  {
    name: 'a size without a unit, and one in an unknown unit',
    spec: '  limits: {body: 1000, heldBytes: 1GB}\n',
    want: [
      'app.yaml:4:18: limits.body: 1000 has no unit; write text like "10Mi"',
      'app.yaml:4:35: limits.heldBytes: "1GB" is not a size; write a whole number with a unit, like "512Ki", "10Mi" or "1Gi"',
    ],
  },
  {
    name: 'numbers out of range, with a fraction, and as words',
    spec: '  server: {port: 70000}\n  limits: {heldCalls: 1.5}\n  dispatcher: {maxAttempts: three}\n',
    want: [
      'app.yaml:4:18: server.port: 70000 is out of range; write a whole number from 0 to 65535',
      'app.yaml:5:23: limits.heldCalls: 1.5 is not a whole number from 1 to 100000000',
      'app.yaml:6:29: dispatcher.maxAttempts: "three" is not a whole number from 1 to 100',
    ],
  },
  {
    name: 'yes instead of true',
    spec: '  auth: {anonymous: {trusted: yes}}\n',
    want: ['app.yaml:4:31: auth.anonymous.trusted: "yes" is not true or false'],
  },
  {
    name: 'a choice with a typo',
    spec: '  log: {level: inof}\n',
    want: ['app.yaml:4:16: log.level: "inof" is not allowed; did you mean "info"?'],
  },
  {
    name: 'a choice that is like no other',
    spec: '  log: {level: verbose}\n',
    want: [
      'app.yaml:4:16: log.level: "verbose" is not allowed; write one of "debug", "info", "warn", "error", "silent"',
    ],
  },
  {
    name: 'names that are none',
    spec: '  installation: My_Lab\n  redis: {keyPrefix: "a:b"}\n',
    want: [
      'app.yaml:4:17: installation: "My_Lab" is not a name; use a-z, 0-9 and "-", starting and ending with a-z or 0-9',
      'app.yaml:5:22: redis.keyPrefix: "a:b" is not a key prefix; use 1 to 32 letters, digits, "-" and "_"',
    ],
  },
  {
    name: 'plugins that do not exist, stand twice, or have a weight without a score',
    spec:
      '  picker:\n    plugins:\n      - type: queue-scorrer\n      - {type: prefix-cache-scorer, weight: -1}\n' +
      '      - {type: random-picker, weight: 2}\n      - type: max-score-picker\n',
    want: [
      'app.yaml:6:15: picker.plugins[0].type: "queue-scorrer" is not allowed; did you mean "queue-scorer"?',
      'app.yaml:7:45: picker.plugins[1].weight: -1 is out of range; write a whole number from 0 to 1000',
      'app.yaml:8:39: picker.plugins[2].weight: "random-picker" gives no score; remove its weight',
    ],
  },
  {
    name: 'two pickers, and a plugin that stands twice',
    spec: '  picker: {plugins: [{type: random-picker}, {type: max-score-picker}, {type: random-picker}]}\n',
    want: [
      'app.yaml:4:78: picker.plugins[2].type: "random-picker" is already plugins[0]; remove one',
      'app.yaml:4:21: picker.plugins: has more than one …-picker; keep one',
    ],
  },
  {
    name: 'the API and the admin listener on one port',
    spec: '  server: {port: 9000}\n  admin: {port: 9000}\n',
    want: ['app.yaml:5:17: admin.port: is the port of the API (server.port 9000) too; give each its own'],
  },
  {
    name: 'a tenant twice, a key of two tenants, a tenant without a key',
    spec: `  tenants:\n    - {name: a, keys: ["${HASH}"]}\n    - {name: a, keys: ["${HASH}"]}\n    - name: c\n`,
    want: [
      'app.yaml:6:14: tenants[1].name: "a" is already tenants[0]; give each its own name',
      'app.yaml:6:23: tenants[1].keys: the same key belongs to tenant "a"; a key names one tenant',
      'app.yaml:7:7: tenants[2]: has no key, so nobody can call as it; add keys, keysFile, serviceAccounts or oidc',
    ],
  },
  {
    name: 'a tenant that callers without a key would share',
    spec: `  tenants: [{name: anonymous, keys: ["${HASH}"]}]\n`,
    want: [
      'app.yaml:4:20: tenants[0].name: is the tenant of callers without a key too (auth.anonymous.tenant), who would see its jobs; rename one',
    ],
  },
  {
    name: 'keys that only look like settings',
    spec: '  "server.port": 81\n  server: {__proto__: {port: 81}}\n  constructor: {}\n',
    want: [
      `app.yaml:4:3: server.port: unknown key; allowed here: ${SECTIONS}`,
      `app.yaml:6:3: constructor: unknown key; allowed here: ${SECTIONS}`,
      'app.yaml:5:12: server.__proto__: unknown key; allowed here: exposeEndpoint, host, port',
    ],
  },
  {
    name: 'a service tier that the tenant may not use',
    spec: `  tenants:\n    - {name: a, keys: ["${HASH}"], allowedObjectives: [x], serviceTiers: {flex: y}}\n`,
    want: [
      'app.yaml:5:145: tenants[0].serviceTiers.flex: "y" is not in allowedObjectives; add it there, or name another',
    ],
  },
  {
    name: 'nobody who could call',
    spec: '  server: {host: 0.0.0.0}\n',
    want: [
      'app.yaml:4:18: server.host: is not loopback, so callers need keys, and there are none; add tenants, or set auth.anonymous.enabled: true',
    ],
  },
  {
    name: 'nobody who may call, on loopback',
    spec: '  auth: {anonymous: {enabled: false}}\n',
    want: [
      'app.yaml:4:31: auth.anonymous.enabled: is false and there are no tenants, so nobody could call; add tenants',
    ],
  },
];

describe('bad settings', () => {
  test.each(BAD_SPECS)('$name', ({ spec, want }) => {
    expect(loadProblems({ spec }).filter((text) => !text.startsWith('warning'))).toEqual(want);
  });

  test('all of them are listed at once', () => {
    const faulty = BAD_SPECS.filter(({ name }) => /typo|unit|range/.test(name) && !name.includes('section'));
    const spec = '  server: {prot: 1}\n  timeouts: {idle: 30}\n  limits: {body: 1GB}\n  log: {level: inof}\n  x: 1\n';
    expect(faulty.length).toBeGreaterThan(2);
    expect(loadProblems({ spec, set: ['admin.port=no'] })).toHaveLength(6);
  });

  test.each([
    {
      name: 'wrong scheme',
      url: 'http://user:hunter2@host',
      want: 'the Redis URL starts with "http:"; write redis://[user:password@]host[:port][/db], or rediss:// for TLS',
    },
    {
      name: 'not a URL',
      url: 'hunter2',
      want: 'the Redis URL cannot be read; write redis://[user:password@]host[:port][/db], or rediss:// for TLS',
    },
    {
      name: 'a database that is no number',
      url: 'redis://:hunter2@host/main',
      want: "the Redis URL's path is not a database number; write redis://[user:password@]host[:port][/db], or rediss:// for TLS",
    },
    {
      name: 'a masked password',
      url: 'redis://u:***@host',
      want: 'the Redis URL holds a masked password, as `config print` shows it; write the real one',
    },
    { name: 'not even text', url: '[hunter2]', want: '"(not shown)" is not text' },
  ])('a Redis URL is refused without repeating it: $name', ({ url, want }) => {
    const spec = `  redis: {url: ${url.startsWith('[') ? url : JSON.stringify(url)}}\n`;
    expect(loadProblems({ spec })).toEqual([`app.yaml:4:16: redis.url: ${want}`]);
  });

  test('an API key in place of its hash is not repeated', () => {
    const spec = '  tenants:\n    - {name: a, keys: ["sk-hunter2"]}\n    - {name: b, keys: sk-hunter2}\n';
    expect(loadProblems({ spec })).toEqual([
      'app.yaml:5:24: tenants[0].keys[0]: is not a key hash; write "sha256:" and the 64 hex digits of the SHA-256 of the key',
      'app.yaml:6:23: tenants[1].keys: "(not shown)" is not a list of text',
    ]);
  });

  test('the document itself: a missing version, an unknown key, another version', () => {
    const loaded = load({
      spec: '  {}\n---\nkind: Configuration\nsepc: {}\n---\napiVersion: v1\nkind: Configuration\nspec: {log: {level: x}}\n---\napiVersion: pilotlight.dev/v1alpha1\nkind: Configuration\nspec: [1]\n',
    });
    expect(loaded.problems.map((problem) => `${problem.source} ${problem.path} ${problem.message}`)).toEqual([
      'app.yaml:6:1 apiVersion is required; write "pilotlight.dev/v1alpha1"',
      'app.yaml:7:1 sepc unknown key; did you mean "spec"?',
      'app.yaml:9:13 apiVersion "v1" is not allowed; write "pilotlight.dev/v1alpha1"',
      'app.yaml:15:7 spec [1] is not a mapping of keys',
      'app.yaml:11:21 log.level "x" is not allowed; write one of "debug", "info", "warn", "error", "silent"',
    ]);
  });
});

describe('environment', () => {
  test('every setting has a variable of its own', () => {
    const names = LEAVES.map((leaf) => environmentName(leaf.path));
    expect(new Set(names).size).toBe(names.length);
    expect(environmentName(['timeouts', 'maxStreamHold'])).toBe('PILOTLIGHT_TIMEOUTS_MAX_STREAM_HOLD');
  });

  test.each([
    {
      name: 'a typo',
      env: { PILOTLIGHT_SERVR_PORT: '1' },
      want: 'PILOTLIGHT_SERVR_PORT: no such setting; did you mean "PILOTLIGHT_SERVER_PORT"?',
    },
    {
      name: 'no setting at all',
      env: { PILOTLIGHT_COLOUR_SCHEME: 'x' },
      want: 'PILOTLIGHT_COLOUR_SCHEME: no such setting; unset it, or see docs/configuration.md for the names',
    },
    {
      name: 'a wrong value',
      env: { PILOTLIGHT_SERVER_PORT: 'http' },
      want: 'PILOTLIGHT_SERVER_PORT: server.port: "http" is not a whole number from 0 to 65535',
    },
    { name: 'broken YAML', env: { PILOTLIGHT_TENANTS: '[a' }, want: 'PILOTLIGHT_TENANTS: tenants: not valid YAML: ' },
  ])('$name', ({ env, want }) => {
    expect(loadProblems({ env })[0]).toContain(want);
  });

  test('what Kubernetes and the client commands put there is no setting', () => {
    const env = {
      PILOTLIGHT_SERVICE_HOST: '10.0.0.1',
      PILOTLIGHT_SERVICE_PORT_HTTP: '8080',
      PILOTLIGHT_SERVER_PORT: 'tcp://10.0.0.1:8080',
      PILOTLIGHT_REDIS_PORT_6379_TCP_ADDR: '10.0.0.2',
      PILOTLIGHT_URL: 'http://somewhere',
      PILOTLIGHT_API_KEY: 'secret',
      PILOTLIGHT_DEBUG: '1',
    };
    expect(loadOk({ env }).config.server.port).toBe(8080);
  });
});

describe('flags', () => {
  test.each([
    {
      name: 'a typo',
      set: 'serve.port=1',
      want: '--set serve.port: serve.port: no such setting; did you mean "server.port"?',
    },
    {
      name: 'no value',
      set: 'server.port',
      want: '--set server.port: server.port: no value given; write --set server.port=VALUE',
    },
    {
      name: 'a wrong value',
      set: 'server.port=x',
      want: '--set server.port: server.port: "x" is not a whole number from 0 to 65535',
    },
    {
      name: 'a password, which the process list would show',
      set: 'redis.url=redis://:hunter2@host',
      want: '--set redis.url: redis.url: the process list shows flags to everybody; give it in a file or in the environment',
    },
  ])('$name', ({ set, want }) => {
    expect(loadProblems({ set: [set] })).toEqual([want]);
  });

  test('a value may hold "=" and a Redis URL without a password is fine', () => {
    const { config } = loadOk({ set: ['redis.url=redis://host:1', 'data.dir=a=b'] });
    expect([config.redis.url, config.data.dir]).toEqual(['redis://host:1', 'a=b']);
  });
});

test('every setting says what it means, and what holds without it', () => {
  const silent = LEAVES.filter(({ schema }) => !schema.description || (schema.default == null && !schema.whenAbsent));
  expect(silent.map(({ path }) => path.join('.'))).toEqual([]);
});
