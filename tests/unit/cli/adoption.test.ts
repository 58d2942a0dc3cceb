import { parseAllDocuments } from 'yaml';
import { describe, expect, test } from 'vitest';
import { type AdoptionFacts, adoptionYaml } from '../../../src/cli/adopt/adoption.ts';
import { type WorkloadChange, workload } from './doctor/builders.ts';
import { run, withFiles } from './support.ts';

function adoption(change: Partial<AdoptionFacts> = {}, of: WorkloadChange = {}): string {
  return adoptionYaml({
    workload: workload(of),
    apiVersion: 'apps/v1',
    models: null,
    maxReplicas: null,
    inferencePool: null,
    objectiveVersion: 'llm-d.ai/v1alpha2',
    nightly: 'nightly',
    scaledTo: null,
    findings: [],
    ...change,
  });
}

interface Document {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: Record<string, unknown>;
}

const documents = (text: string): readonly Document[] =>
  parseAllDocuments(text).flatMap((document) => (document.toJS() as Document | null) ?? []);
const policyOf = (text: string): Record<string, unknown> =>
  documents(text).find(({ kind }) => kind === 'ScalePolicy')?.spec ?? {};

test('a workload becomes a policy that only observes, with an objective for work that may wait', () => {
  const text = adoption();
  expect(documents(text).map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual([
    'ScalePolicy llama',
    'InferenceObjective nightly',
    'ObjectivePolicy nightly',
  ]);
  expect(policyOf(text)).toEqual({
    pool: { selector: { matchLabels: { app: 'llama' } }, targetPorts: [{ number: 8000 }] },
    models: [{ name: 'llama' }],
    targets: [
      {
        name: 'gpu',
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'llama' },
        minReplicas: 0,
        maxReplicas: 1,
        slotsPerEndpoint: 'Auto',
        gpusPerReplica: 1,
      },
    ],
    mode: 'Observe',
    boot: { expectedDuration: '5m', timeout: '1800s' },
    drain: { timeout: '600s' },
  });
});

describe('what it is made of', () => {
  test.each<{ name: string; facts?: Partial<AdoptionFacts>; of?: WorkloadChange; want: object }>([
    {
      name: 'an InferencePool that has its pods',
      facts: { inferencePool: 'chat' },
      want: { poolRef: { name: 'chat' } },
    },
    {
      name: 'models that were asked for',
      facts: { models: ['a', 'b'] },
      want: { models: [{ name: 'a' }, { name: 'b' }] },
    },
    {
      name: 'several served names',
      of: { container: { args: ['--served-model-name', 'a', 'b'] } },
      want: { models: [{ name: 'a', aliases: ['b'] }] },
    },
    { name: 'no name: its own', of: { container: { args: [] } }, want: { models: [{ name: 'llama' }] } },
    { name: 'more replicas than one', of: { spec: { replicas: 5 } }, want: { targets: [{ maxReplicas: 5 }] } },
    {
      name: 'an autoscaler that goes further',
      facts: { scaledTo: 9 },
      of: { spec: { replicas: 2 } },
      want: { targets: [{ maxReplicas: 9 }] },
    },
    {
      name: 'a number that was asked for',
      facts: { scaledTo: 9, maxReplicas: 3 },
      want: { targets: [{ maxReplicas: 3 }] },
    },
    { name: 'a workload at zero', of: { spec: { replicas: 0 } }, want: { targets: [{ maxReplicas: 1 }] } },
    {
      name: '--max-num-seqs',
      of: { container: { args: ['--max-num-seqs=64'] } },
      want: { targets: [{ slotsPerEndpoint: 65 }] },
    },
    {
      name: 'labels that YAML would read as numbers',
      of: { spec: { selector: { matchLabels: { v: '1', on: 'yes' } } } },
      want: { pool: { selector: { matchLabels: { v: '1', on: 'yes' } } } },
    },
  ])('$name', ({ facts, of, want }) => {
    expect(policyOf(adoption(facts, of))).toMatchObject(want);
  });
});

test('without InferenceObjective in the cluster there is none in the file, and the file says so', () => {
  const text = adoption({ objectiveVersion: null });
  expect(documents(text)).toHaveLength(1);
  expect(text).toContain('The cluster has no InferenceObjective');
});

test('what doctor would find stands on top as a comment', () => {
  const text = adoption({ findings: [{ level: 'fail', check: 'shutdown', found: 'it is cut', change: 'more grace' }] });
  expect(text).toContain('# To change before mode: Native:\n# - it is cut → more grace\n');
});

test.each<{ name: string; facts?: Partial<AdoptionFacts> }>([
  { name: 'a pool of its own' },
  { name: 'the older group of objectives', facts: { objectiveVersion: 'inference.networking.x-k8s.io/v1alpha2' } },
  { name: 'no objectives', facts: { objectiveVersion: null } },
])('`config validate` takes it: $name', async ({ facts }) => {
  const file = withFiles({ 'adopted.yaml': adoption(facts) });
  const { stdout, exitCode } = await run(['config', 'validate', '-f', file('adopted.yaml')]);
  expect(stdout).toMatch(/documents?, 1 warning\n$/);
  expect(exitCode).toBe(0);
});
