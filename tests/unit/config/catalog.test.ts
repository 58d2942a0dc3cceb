import { describe, expect, test } from 'vitest';
import { compileOk } from './support.ts';

const pool = (name: string) => `apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: ${name}}
spec: {selector: {matchLabels: {app: x}}, targetPorts: [{number: 8000}]}
`;
const policy = (name: string, models: string, more = '') => `apiVersion: pilotlight.dev/v1alpha1
kind: ScalePolicy
metadata: {name: ${name}}
spec:
  poolRef: {name: ${name}}
  models: ${models}
  targets: [{name: t, maxReplicas: 4, pricePerGpuHour: "2.5", process: {command: [vllm, "{port}"], env: [{name: A, value: b}], workingDir: /models}}]
${more}`;
const objective = (name: string, of: string, priority: number | null, labels = '{}') => `apiVersion: llm-d.ai/v1alpha2
kind: InferenceObjective
metadata: {name: ${name}, labels: ${labels}}
spec: {${priority === null ? '' : `priority: ${priority}, `}poolRef: {name: ${of}}}
`;
const objectivePolicy = (name: string, spec: string) => `apiVersion: pilotlight.dev/v1alpha1
kind: ObjectivePolicy
metadata: {name: ${name}}
spec: ${spec}
`;
const all = (...documents: string[]) => documents.join('---\n');
const BASE = all(pool('a'), policy('a', '[{name: m, aliases: [gpt-4o]}, {name: fr, adapter: french}]'));

describe('pools', () => {
  test('a policy that says little: every default, in milliseconds', () => {
    const [found] = compileOk(BASE).pools.values();
    expect(found).toEqual({
      key: 'default/a',
      namespace: 'default',
      name: 'a',
      pods: { matchLabels: { app: 'x' }, ports: [8000] },
      onDelete: 'Keep',
      policyName: 'a',
      models: [
        { name: 'm', aliases: ['gpt-4o'] },
        { name: 'fr', aliases: [], adapter: 'french' },
      ],
      targets: [
        {
          name: 't',
          process: {
            command: ['vllm', '{port}'],
            env: { A: 'b' },
            workingDir: '/models',
            readinessPath: '/health',
            readinessEveryMs: 500,
          },
          minReplicas: 0,
          maxReplicas: 4,
          slotsPerEndpoint: 'Auto',
          gpusPerReplica: 1,
          pricePerGpuHour: 2.5,
          preference: 0,
        },
      ],
      scale: {
        mode: 'Native',
        paused: false,
        keepWarmMs: 'Auto',
        keepWarmMaxMs: 900_000,
        drainTargetMs: 'Auto',
        scaleDownAfterMs: 'Auto',
        minEfficiencyPercent: 50,
        maxBootsInFlight: 8,
        coldStartPriorMs: 300_000,
        requestPriorMs: 10_000,
        bootTimeoutMs: 1_800_000,
        drainTimeoutMs: 900_000,
      },
      limits: { maxRequests: 100_000, maxBytes: 2 * 1024 ** 3 },
    });
  });

  test('what a policy says arrives', () => {
    const more = `  mode: Observe
  paused: true
  keepWarm: {duration: 1m, maxDuration: 2m}
  activation: {minEfficiencyPercent: 20, drainTarget: 10s, expectedRequestDuration: 3s}
  drain: {after: 4s, timeout: 5s}
  boot: {maxInFlight: 2, expectedDuration: 6s, timeout: 7s}
  limits: {requests: 10, bytes: 1Ki}
`;
    const [found] = compileOk(all(pool('a'), policy('a', '[{name: m}]', more))).pools.values();
    expect(found!.scale).toEqual({
      mode: 'Observe',
      paused: true,
      keepWarmMs: 60_000,
      keepWarmMaxMs: 120_000,
      drainTargetMs: 10_000,
      scaleDownAfterMs: 4_000,
      minEfficiencyPercent: 20,
      maxBootsInFlight: 2,
      coldStartPriorMs: 6_000,
      requestPriorMs: 3_000,
      bootTimeoutMs: 7_000,
      drainTimeoutMs: 5_000,
    });
    expect(found!.limits).toEqual({ maxRequests: 10, maxBytes: 1_024 });
  });

  test('a pool without a policy is listed, leads nowhere and only observes', () => {
    const [found] = compileOk(pool('a')).pools.values();
    expect(found).toMatchObject({ policyName: null, models: [], targets: [], scale: { mode: 'Observe' } });
  });

  test('an inline pool has the name of its policy', () => {
    const text = policy('b', '[{name: m}]').replace(
      'poolRef: {name: b}',
      'pool: {selector: {matchLabels: {app: b}}, targetPorts: [{number: 8000}]}',
    );
    const catalog = compileOk(all(text, objective('o', 'b', 1)));
    expect([...catalog.pools.keys()]).toEqual(['default/b']);
    expect(catalog.objective('default/b', 'o')?.priority).toBe(1);
  });

  test('a policy of another installation is left to it', () => {
    const text = all(pool('a'), policy('a', '[{name: m}]', '  className: berlin\n'));
    const [ours] = compileOk(text, { settings: { installation: 'berlin' } }).pools.values();
    expect(ours!.policyName).toBe('a');
    const [theirs] = compileOk(text, { settings: { installation: 'paris' } }).pools.values();
    expect(theirs!.policyName).toBeNull();
  });
});

describe('models', () => {
  test('names and aliases lead to the pool; an adapter is what the server knows', () => {
    const catalog = compileOk(BASE);
    expect(catalog.resolveModel('gpt-4o')).toMatchObject({ pool: { key: 'default/a' }, servedModel: 'm' });
    expect(catalog.resolveModel('fr')).toMatchObject({ servedModel: 'french', route: { adapter: 'french' } });
    expect(catalog.resolveModel('nothing')).toBeUndefined();
    expect(catalog.models().map((model) => model.name)).toEqual(['m', 'gpt-4o', 'fr']);
  });

  test('a name taken twice stays with the older object, whatever the order of the files', () => {
    const aged = (name: string, when: string) =>
      policy(name, '[{name: m}]').replace(
        `{name: ${name}}\nspec`,
        `{name: ${name}, creationTimestamp: "${when}"}\nspec`,
      );
    const text = all(pool('a'), pool('b'), aged('a', '2026-02-01T00:00:00Z'), aged('b', '2026-01-01T00:00:00Z'));
    expect(compileOk(text).resolveModel('m')?.pool.key).toBe('default/b');
  });

  test('the creation time is that of the policy, else of its file, and survives later edits', () => {
    const first = compileOk(BASE);
    expect(first.models()[0]!.createdAtEpochMs).toBe(1_000);
    const stamped = BASE.replace(
      'ScalePolicy\nmetadata: {name: a}',
      'ScalePolicy\nmetadata: {name: a, creationTimestamp: "2026-01-01T00:00:00Z"}',
    );
    expect(compileOk(stamped).models()[0]!.createdAtEpochMs).toBe(Date.parse('2026-01-01T00:00:00Z'));
    const second = compileOk(stamped, { previous: first });
    expect(second.models()[0]!.createdAtEpochMs).toBe(1_000);
    expect([first.generation, second.generation]).toEqual([1, 2]);
  });
});

describe('objectives', () => {
  test.each([
    { priority: -1, shedAtPercent: 50 },
    { priority: 0, shedAtPercent: 90 },
    { priority: 99, shedAtPercent: 90 },
    { priority: 100, shedAtPercent: 99 },
    { priority: null, shedAtPercent: 90 },
  ])('priority $priority may use $shedAtPercent % of the budget', ({ priority, shedAtPercent }) => {
    const found = compileOk(all(BASE, objective('o', 'a', priority))).objective('default/a', 'o');
    expect(found).toMatchObject({ priority: priority ?? 0, shedAtPercent, activation: 'Immediate' });
  });

  test('a policy fills in what it names, and the configuration what it does not', () => {
    const spec =
      '{targetRefs: [{name: o}], queueTtlClock: WithCapacity, guaranteedSharePercent: 10, aging: 30m, reservedSlots: {percent: 20}, paused: true, activation: Batched, maxWait: 5m, queueTtl: 10m, defaultDeadline: 1h, limits: {storedRequests: 7}}';
    const text = all(BASE, objective('o', 'a', -5), objectivePolicy('p', spec));
    expect(compileOk(text).objective('default/a', 'o')).toEqual({
      name: 'o',
      namespace: 'default',
      pool: 'default/a',
      priority: -5,
      activation: 'Batched',
      maxWaitMs: 300_000,
      queueTtlMs: 600_000,
      queueTtlStopsWithoutCapacity: true,
      guaranteedSharePercent: 10,
      agingMs: 1_800_000,
      reservedSlotsPercent: 20,
      reservedLapseMs: 300_000,
      paused: true,
      defaultDeadlineMs: 3_600_000,
      shedAtPercent: 50,
      mayExtendKeepWarm: false,
      maxStoredRequests: 7,
      maxStoredBytes: 1024 ** 3,
    });
  });

  test('scheduled work does not keep the pool warm, and has a deadline only if the policy or the request says so', () => {
    const text = all(
      BASE,
      objective('o', 'a', -5),
      objectivePolicy('p', '{targetRefs: [{name: o}], activation: Scheduled}'),
    );
    const scheduled = {
      activation: 'Scheduled',
      maxWaitMs: 3_600_000,
      defaultDeadlineMs: null,
      mayExtendKeepWarm: false,
    };
    expect(compileOk(text).objective('default/a', 'o')).toMatchObject(scheduled);
  });

  test('a class reaches the objectives that carry its label, and its name means one of them in every pool', () => {
    const label = '{pilotlight.dev/objective-class: nightly}';
    const text = all(
      BASE,
      pool('b'),
      policy('b', '[{name: n}]'),
      objective('night-a', 'a', -1, label),
      objective('night-b', 'b', -2, label),
      objectivePolicy('nightly', '{className: nightly, activation: Batched}'),
      objectivePolicy('special', '{targetRefs: [{name: night-b}], maxWait: 2m}'),
    );
    const catalog = compileOk(text);
    expect(catalog.objective('default/a', 'nightly')).toMatchObject({ name: 'night-a', activation: 'Batched' });
    expect(catalog.objective('default/b', 'nightly')).toMatchObject({
      name: 'night-b',
      activation: 'Immediate',
      maxWaitMs: 120_000,
    });
  });

  test('calls that name none get priority 0, or the objective called "default"', () => {
    expect(compileOk(BASE).defaultObjective('default/a')).toMatchObject({ name: 'default', priority: 0 });
    const own = compileOk(all(BASE, objective('default', 'a', 7)));
    expect(own.defaultObjective('default/a').priority).toBe(7);
    expect(own.objectivesOf('default/a').map((one) => one.name)).toEqual(['default']);
    expect(() => own.defaultObjective('default/x')).toThrow('not in the catalog');
  });
});
