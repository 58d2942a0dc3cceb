import { describe, expect, test } from 'vitest';
import { compile, texts } from './support.ts';

const POOL = `apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: p}
spec: {selector: {matchLabels: {app: p}}, targetPorts: [{number: 8000}]}
`;
const OBJECTIVE = `apiVersion: llm-d.ai/v1alpha2
kind: InferenceObjective
metadata: {name: o}
spec: {priority: 1, poolRef: {name: p}}
`;
const TARGET = '{name: t, process: {command: [vllm, serve, --port, "{port}"]}}';
const policy = (spec: string, name = 'p') => `apiVersion: pilotlight.dev/v1alpha1
kind: ScalePolicy
metadata: {name: ${name}}
spec:
${spec.trimEnd()}
`;
const POLICY = policy(`  poolRef: {name: p}\n  models: [{name: m}]\n  targets: [${TARGET}]`);
const objectivePolicy = (spec: string, name = 'op') => `apiVersion: pilotlight.dev/v1alpha1
kind: ObjectivePolicy
metadata: {name: ${name}}
spec: ${spec}
`;
/** Documents one after the other; the first begins on line 1, each next one line below its "---". */
const file = (...documents: string[]) => documents.join('---\n');

interface Row {
  readonly name: string;
  readonly text: string;
  readonly want: readonly string[];
}

const SHAPE: readonly Row[] = [
  {
    name: 'no kind',
    text: 'apiVersion: v1\n',
    want: [
      'objects.yaml:1:1: not an object: "kind" is missing; write one of InferencePool, InferenceObjective, InferenceModelRewrite, ScalePolicy, ObjectivePolicy, Configuration',
    ],
  },
  {
    name: 'a kind with a typo',
    text: 'apiVersion: pilotlight.dev/v1alpha1\nkind: ScalePolcy\n',
    want: ['objects.yaml:2:7: kind: unknown kind "ScalePolcy"; did you mean "ScalePolicy"?'],
  },
  {
    name: "somebody else's kind",
    text: 'apiVersion: apps/v1\nkind: Deployment\n',
    want: [`warning: objects.yaml:2:7: kind: "apps/v1 Deployment" is not one of Pilotlight's kinds; it is ignored`],
  },
  {
    name: 'another version of a kind',
    text: POOL.replace('/v1\n', '/v2\n'),
    want: [
      'objects.yaml:1:13: InferencePool default/p: apiVersion: "inference.networking.k8s.io/v2" is not allowed; did you mean "inference.networking.k8s.io/v1"?',
    ],
  },
  {
    name: 'no name',
    text: POOL.replace('{name: p}', '{}'),
    want: ['objects.yaml:3:11: InferencePool default/(unnamed): metadata.name: is required; write text'],
  },
  {
    name: 'a name that Kubernetes would refuse',
    text: POOL.replace('{name: p}', '{name: My_Pool}'),
    want: [
      'objects.yaml:3:18: InferencePool default/My_Pool: metadata.name: "My_Pool" is not a name; use a-z, 0-9, "-" and ".", starting and ending with a-z or 0-9',
    ],
  },
  {
    name: 'a pool without labels, without ports, and with a port twice',
    text: file(
      POOL.replace('{app: p}', '{}').replace('[{number: 8000}]', '[]'),
      POOL.replace('name: p', 'name: q').replace('[{number: 8000}]', '[{number: 1}, {number: 1}, {number: 0}]'),
    ),
    want: [
      'objects.yaml:4:32: InferencePool default/p: spec.selector.matchLabels: must have 1 to 64 labels',
      'objects.yaml:4:50: InferencePool default/p: spec.targetPorts: must have at least 1 entry',
      'objects.yaml:9:92: InferencePool default/q: spec.targetPorts[2].number: 0 is out of range; write a whole number from 1 to 65535',
      'objects.yaml:9:79: InferencePool default/q: spec.targetPorts[1].number: port 1 is listed twice; remove one',
    ],
  },
  {
    name: 'an objective without a pool, with a fraction as priority',
    text: file(POOL, POLICY, OBJECTIVE.replace('{priority: 1, poolRef: {name: p}}', '{priority: 1.5}')),
    want: [
      'objects.yaml:17:18: InferenceObjective default/o: spec.priority: 1.5 is not a whole number from -2147483648 to 2147483647',
      'objects.yaml:17:7: InferenceObjective default/o: spec.poolRef: is required; write a mapping of keys',
    ],
  },
  {
    name: 'a policy with mistakes of every sort',
    text: policy(`  poolRef: {nam: p}
  models: [{name: ""}]
  targets:
    - name: t
      maxReplica: 4
      slotsPerEndpoint: auto
      pricePerGpuHour: 2.5
      process: {command: [], readiness: {path: health, every: 1}}
  mode: Observer
  keepWarm: {duration: 300}
  activation: {minEfficiencyPercent: 0.5}`),
    want: [
      'objects.yaml:5:12: ScalePolicy default/p: spec.poolRef.name: is required; write text',
      'objects.yaml:5:13: ScalePolicy default/p: spec.poolRef.nam: unknown key; did you mean "name"?',
      'objects.yaml:6:19: ScalePolicy default/p: spec.models[0].name: must not be empty',
      'objects.yaml:12:26: ScalePolicy default/p: spec.targets[0].process.command: must have at least 1 entry',
      'objects.yaml:12:48: ScalePolicy default/p: spec.targets[0].process.readiness.path: "health" is not a path; write one like "/health"',
      'objects.yaml:12:63: ScalePolicy default/p: spec.targets[0].process.readiness.every: 1 has no unit; write text like "30s"',
      'objects.yaml:10:25: ScalePolicy default/p: spec.targets[0].slotsPerEndpoint: "auto" is not allowed; write "Auto" or a whole number from 1 to 100000',
      'objects.yaml:11:24: ScalePolicy default/p: spec.targets[0].pricePerGpuHour: 2.5 is not a price; write it as text, like "2.50"',
      'objects.yaml:9:7: ScalePolicy default/p: spec.targets[0].maxReplica: unknown key; did you mean "maxReplicas"?',
      'objects.yaml:13:9: ScalePolicy default/p: spec.mode: "Observer" is not allowed; did you mean "Observe"?',
      'objects.yaml:15:38: ScalePolicy default/p: spec.activation.minEfficiencyPercent: 0.5 is not a whole number from 1 to 100',
      'objects.yaml:14:24: ScalePolicy default/p: spec.keepWarm.duration: 300 is neither "Auto" nor a duration; write "Auto" or text like "30s"',
    ],
  },
  {
    name: 'what this version cannot do yet',
    text: file(
      policy('  endpointUrl: http://gateway\n  windows: []\n  onDelete: Drain\n  mode: KEDA'),
      objectivePolicy('{targetRefs: [{name: o}], activation: Sheduled, windows: []}'),
    ),
    want: [
      'objects.yaml:8:9: ScalePolicy default/p: spec.mode: KEDA is not supported by this version; use Native or Observe',
      'objects.yaml:7:13: ScalePolicy default/p: spec.onDelete: "Drain" is not allowed; write one of "Keep", "ScaleToZero", "ScaleToMin"',
      'objects.yaml:5:3: ScalePolicy default/p: spec.endpointUrl: a pool behind a URL is not supported by this version; use poolRef or pool, with targets',
      'objects.yaml:6:3: ScalePolicy default/p: spec.windows: windows are not supported by this version; remove them (minReplicas keeps replicas up all day)',
      'objects.yaml:13:45: ObjectivePolicy default/op: spec.activation: "Sheduled" is not allowed; did you mean "Scheduled"?',
      'objects.yaml:13:55: ObjectivePolicy default/op: spec.windows: windows are not supported by this version; remove them and use Batched with maxWait',
    ],
  },
];

const BETWEEN: readonly Row[] = [
  {
    name: 'a pool that is not there',
    text: policy(`  poolRef: {name: q}\n  models: [{name: m}]\n  targets: [${TARGET}]`),
    want: [
      'objects.yaml:5:19: ScalePolicy default/p: spec.poolRef.name: there is no InferencePool "q" in namespace "default"; add it or correct the name',
    ],
  },
  {
    name: 'a pool of that name, but in another namespace',
    text: file(POOL.replace('{name: p}', '{name: p, namespace: other}'), POLICY),
    want: [
      'objects.yaml:10:19: ScalePolicy default/p: spec.poolRef.name: there is no InferencePool "p" in namespace "default"; add it or correct the name',
      'warning: objects.yaml:3:18: InferencePool other/p: metadata.name: no ScalePolicy is about it, so it cannot wake; add one with poolRef: {name: p}',
    ],
  },
  {
    name: 'a pool that is there but broken is not missing too',
    text: file(POOL.replace('8000', 'http'), POLICY, OBJECTIVE),
    want: [
      'objects.yaml:4:66: InferencePool default/p: spec.targetPorts[0].number: "http" is not a whole number from 1 to 65535',
    ],
  },
  {
    name: 'two ways to name the pool, and none',
    text: file(
      POOL,
      policy(
        `  poolRef: {name: p}\n  pool: {selector: {matchLabels: {a: b}}, targetPorts: [{number: 1}]}\n  models: [{name: m}]\n  targets: [${TARGET}]`,
      ),
      policy(`  models: [{name: n}]\n  targets: [${TARGET}]`, 'q'),
    ),
    want: [
      'objects.yaml:10:3: ScalePolicy default/p: spec: has both poolRef and pool; keep one of them',
      'objects.yaml:19:3: ScalePolicy default/q: spec: names no pool; add poolRef: {name: …}, or an inline pool',
      'warning: objects.yaml:3:18: InferencePool default/p: metadata.name: no ScalePolicy is about it, so it cannot wake; add one with poolRef: {name: p}',
    ],
  },
  {
    name: 'an inline pool with the name of an InferencePool',
    text: file(
      POOL,
      policy(
        `  pool: {selector: {matchLabels: {a: b}}, targetPorts: [{number: 1}]}\n  models: [{name: m}]\n  targets: [${TARGET}]`,
      ),
    ),
    want: [
      'objects.yaml:10:9: ScalePolicy default/p: spec.pool: an InferencePool "p" exists too; use poolRef: {name: p}, or rename one',
      'warning: objects.yaml:3:18: InferencePool default/p: metadata.name: no ScalePolicy is about it, so it cannot wake; add one with poolRef: {name: p}',
    ],
  },
  {
    name: 'two policies for one pool: the first keeps it',
    text: file(POOL, POLICY, policy(`  poolRef: {name: p}\n  models: [{name: n}]\n  targets: [${TARGET}]`, 'q')),
    want: [
      'warning: objects.yaml:18:3: ScalePolicy default/q: spec: the pool is already scaled by ScalePolicy default/p (objects.yaml:6:1); delete one of the two',
    ],
  },
  {
    name: 'a model name and an alias that an older policy has',
    text: file(
      POOL,
      policy(`  poolRef: {name: p}\n  models: [{name: m, aliases: [x]}]\n  targets: [${TARGET}]`),
      POOL.replace('name: p', 'name: q'),
      policy(`  poolRef: {name: q}\n  models: [{name: x}, {name: n, aliases: [m, k]}]\n  targets: [${TARGET}]`, 'q'),
    ),
    want: [
      'warning: objects.yaml:24:19: ScalePolicy default/q: spec.models[0].name: "x" already leads to ScalePolicy default/p (objects.yaml:6:1), which keeps it; use another name',
      'warning: objects.yaml:24:43: ScalePolicy default/q: spec.models[1].aliases[0]: "m" already leads to ScalePolicy default/p (objects.yaml:6:1), which keeps it; use another name',
    ],
  },
  {
    name: 'a name twice within one policy',
    text: file(
      POOL,
      policy(`  poolRef: {name: p}\n  models: [{name: m, aliases: [x, x]}, {name: m}]\n  targets: [${TARGET}]`),
    ),
    want: [
      'objects.yaml:11:35: ScalePolicy default/p: spec.models[0].aliases[1]: the name "x" is used twice in this policy; remove one',
      'objects.yaml:11:47: ScalePolicy default/p: spec.models[1].name: the name "m" is used twice in this policy; remove one',
    ],
  },
  {
    name: 'an object twice',
    text: file(POOL, POLICY, POOL, OBJECTIVE, OBJECTIVE),
    want: [
      'objects.yaml:16:18: InferencePool default/p: metadata.name: InferencePool default/p is already at objects.yaml:1:1; delete one of the two, or rename it',
      'objects.yaml:26:18: InferenceObjective default/o: metadata.name: InferenceObjective default/o is already at objects.yaml:19:1; delete one of the two, or rename it',
    ],
  },
  {
    name: 'an objective in its current and its older group: the current one wins',
    text: file(POOL, POLICY, OBJECTIVE.replace('llm-d.ai', 'inference.networking.x-k8s.io'), OBJECTIVE),
    want: [
      'warning: objects.yaml:14:13: InferenceObjective default/o: apiVersion: the same objective exists under llm-d.ai/v1alpha2, which wins; delete this one',
    ],
  },
  {
    name: 'an objective of a pool that is not there',
    text: file(POOL, POLICY, OBJECTIVE.replace('poolRef: {name: p}', 'poolRef: {name: q}')),
    want: [
      'objects.yaml:17:37: InferenceObjective default/o: spec.poolRef.name: there is no pool "q" in namespace "default"; add it or correct the name',
    ],
  },
  {
    name: 'a policy for an objective that is not there, and one for nothing',
    text: file(POOL, POLICY, OBJECTIVE, objectivePolicy('{targetRefs: [{name: x}]}'), objectivePolicy('{}', 'op2')),
    want: [
      'objects.yaml:22:28: ObjectivePolicy default/op: spec.targetRefs[0].name: there is no InferenceObjective "x" in namespace "default"; add it or correct the name',
      'objects.yaml:27:7: ObjectivePolicy default/op2: spec: applies to nothing; add targetRefs: [{name: …}] or className',
    ],
  },
  {
    name: 'two policies for one objective, and a class that nobody is in',
    text: file(
      POOL,
      POLICY,
      OBJECTIVE,
      objectivePolicy('{targetRefs: [{name: o}]}'),
      objectivePolicy('{targetRefs: [{name: o}], className: nightly}', 'op2'),
    ),
    want: [
      'warning: objects.yaml:27:28: ObjectivePolicy default/op2: spec.targetRefs[0].name: objective "o" already follows ObjectivePolicy default/op (objects.yaml:19:1); name it in one policy only',
      'warning: objects.yaml:27:44: ObjectivePolicy default/op2: spec.className: no InferenceObjective has the label pilotlight.dev/objective-class: nightly; add it to those that are meant',
    ],
  },
  {
    name: 'work that would be evicted before it wakes the pool',
    text: file(
      POOL,
      POLICY,
      OBJECTIVE,
      objectivePolicy('{targetRefs: [{name: o}], activation: Batched, maxWait: 1h, queueTtl: 10m}'),
    ),
    want: [
      'warning: objects.yaml:22:77: ObjectivePolicy default/op: spec.queueTtl: is not longer than maxWait, so Batched work may be evicted before it wakes the pool; raise it',
    ],
  },
  {
    name: 'scheduled work without a deadline that would be evicted before it wakes the pool',
    text: file(
      POOL,
      POLICY,
      OBJECTIVE,
      objectivePolicy('{targetRefs: [{name: o}], activation: Scheduled, queueTtl: 10m}'),
    ),
    want: [
      'warning: objects.yaml:22:66: ObjectivePolicy default/op: spec.queueTtl: is not longer than maxWait, so Scheduled work may be evicted before it wakes the pool; raise it',
    ],
  },
  {
    name: 'targets that contradict themselves',
    text: file(
      POOL,
      policy(`  poolRef: {name: p}
  models: [{name: m}]
  targets:
    - {name: t, minReplicas: 5, maxReplicas: 2, process: {command: [vllm, "{port}"]}}
    - {name: t, process: {command: [vllm, "{port}"]}, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: d}}
    - {name: u}
    - {name: v, process: {command: [vllm, serve]}}
  boot: {expectedDuration: 5m, timeout: 5m}`),
    ),
    want: [
      'objects.yaml:13:30: ScalePolicy default/p: spec.targets[0].minReplicas: 5 is more than maxReplicas 2; lower it or raise maxReplicas',
      'objects.yaml:14:14: ScalePolicy default/p: spec.targets[1].name: "t" is already targets[0]; give each its own name',
      'objects.yaml:14:7: ScalePolicy default/p: spec.targets[1]: has both process and scaleTargetRef; keep one of them',
      'objects.yaml:15:7: ScalePolicy default/p: spec.targets[2]: has neither process nor scaleTargetRef; add one of them',
      'objects.yaml:16:36: ScalePolicy default/p: spec.targets[3].process.command: does not contain "{port}", so the replica would not listen where Pilotlight asks; add it, e.g. --port {port}',
      'objects.yaml:17:41: ScalePolicy default/p: spec.boot.timeout: is not longer than boot.expectedDuration, so every boot would be called stuck; raise it',
    ],
  },
  {
    name: 'things that leave a pool asleep: warnings',
    text: file(
      POOL,
      policy('  poolRef: {name: p}'),
      POOL.replace('name: p', 'name: q'),
      policy(
        `  poolRef: {name: q}
  models: [{name: m}]
  targets:
    - {name: a, process: {command: [vlmm, "{port}"]}}
    - {name: b, process: {command: [vllm, "{port}"], workingDir: /nowhere}}
    - {name: c, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: d}}`,
        'q',
      ),
    ),
    want: [
      'warning: objects.yaml:10:3: ScalePolicy default/p: spec: no targets: the pool is listed but cannot wake; add one to spec.targets',
      'warning: objects.yaml:10:3: ScalePolicy default/p: spec: no models: no call leads to this pool; add spec.models',
      'warning: objects.yaml:24:37: ScalePolicy default/q: spec.targets[0].process.command[0]: "vlmm" is not a program on the PATH; install it or write its full path',
      'warning: objects.yaml:25:66: ScalePolicy default/q: spec.targets[1].process.workingDir: "/nowhere" is not a folder; create it or correct the path',
      'warning: objects.yaml:26:33: ScalePolicy default/q: spec.targets[2].scaleTargetRef: needs an API server (kubernetes.enabled): this target cannot start anything; use process',
    ],
  },
];

describe('an object by itself', () => {
  test.each(SHAPE)('$name', ({ text, want }) => {
    expect(texts(compile(text).problems)).toEqual(want);
  });
});

describe('objects between each other', () => {
  test.each(BETWEEN)('$name', ({ text, want }) => {
    const { problems, catalog } = compile(text);
    expect(texts(problems)).toEqual(want);
    expect(catalog === null).toBe(problems.some((problem) => problem.severity === 'error'));
  });

  test('what is in its place but without effect carries the reason of its condition', () => {
    const second = policy(`  poolRef: {name: p}\n  models: [{name: n}]\n  targets: [${TARGET}]`, 'q');
    expect(compile(file(POOL, POLICY, second)).problems.map((problem) => problem.reason)).toEqual(['Conflicted']);
    expect(compile(POOL).problems.map((problem) => problem.reason)).toEqual(['NotReady']);
  });
});

test('a set without a mistake has no problems', () => {
  expect(compile(file(POOL, POLICY, OBJECTIVE, objectivePolicy('{targetRefs: [{name: o}]}'))).problems).toEqual([]);
});

test('what an API server adds to an object, its status too, is accepted', () => {
  const served = POOL.replace(
    '{name: p}',
    '{name: p, uid: u, resourceVersion: "7", generation: 1, creationTimestamp: "2026-01-01T00:00:00Z", managedFields: [{manager: kubectl}]}',
  ).concat('status: {parents: []}\n');
  expect(compile(file(served, POLICY)).problems).toEqual([]);
});
