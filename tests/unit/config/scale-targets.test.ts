import { describe, expect, test } from 'vitest';
import { configurationSchema } from '../../../src/config/schema/configuration.ts';
import { compile, texts } from './support.ts';

const POOL = `apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: p}
spec: {selector: {matchLabels: {app: p}}, targetPorts: [{number: 8000}]}
`;
const TARGET = '{name: t, process: {command: [vllm, serve, --port, "{port}"]}}';
const policy = (spec: string) => `apiVersion: pilotlight.dev/v1alpha1
kind: ScalePolicy
metadata: {name: p}
spec:
${spec}
`;
const POLICY = policy(`  poolRef: {name: p}\n  models: [{name: m}]\n  targets: [${TARGET}]`);
const file = (...documents: string[]) => documents.join('---\n');

describe('files where kubernetes.enabled', () => {
  const kubernetes = { kubernetes: configurationSchema.parse({ kubernetes: { enabled: true } }).kubernetes };
  const compiled = (text: string) => texts(compile(text, { settings: kubernetes }).problems);
  const scaled = (name: string, more = '') =>
    `{name: ${name}, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: ${name}}${more}}`;

  test('a scaleTargetRef needs no remark, a process is refused', () => {
    expect(
      compiled(file(POOL, policy(`  poolRef: {name: p}\n  models: [{name: m}]\n  targets: [${scaled('a')}]`))),
    ).toEqual([]);
    expect(compiled(file(POOL, POLICY))).toEqual([
      expect.stringContaining(
        'ScalePolicy default/p: spec.targets[0].process: starts commands on this machine, which nothing does where kubernetes.enabled; use scaleTargetRef',
      ),
    ]);
  });

  test('a workload twice: an error within a policy, a conflict between two', () => {
    const twice = `[${scaled('a')}, {name: b, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: a}}]`;
    expect(compiled(file(POOL, policy(`  poolRef: {name: p}\n  models: [{name: m}]\n  targets: ${twice}`)))).toEqual([
      expect.stringContaining(
        'spec.targets[1].scaleTargetRef: Deployment "a" is another target of this policy; remove one',
      ),
    ]);
  });
});

test.each([
  ['apps', '"apps" is not a group and version; write one like "apps/v1"'],
  ['apps/v1/x', '"apps/v1/x" is not a group and version; write one like "apps/v1"'],
])('a scaleTargetRef with apiVersion %s', (apiVersion, why) => {
  const target = `{name: t, scaleTargetRef: {apiVersion: ${apiVersion}, kind: deployment, name: X}}`;
  expect(texts(compile(file(POOL, policy(`  poolRef: {name: p}\n  targets: [${target}]`))).problems)).toEqual([
    expect.stringContaining(`scaleTargetRef.apiVersion: ${why}`),
    expect.stringContaining('scaleTargetRef.kind: "deployment" is not a kind; write one like "Deployment"'),
    expect.stringContaining('scaleTargetRef.name: "X" is not a name'),
  ]);
});

test('onDelete is for workloads in Kubernetes; processes always end with their policy', () => {
  const text = file(
    POOL,
    policy(`  poolRef: {name: p}\n  models: [{name: m}]\n  onDelete: ScaleToMin\n  targets: [${TARGET}]`),
  );
  expect(texts(compile(text).problems)).toEqual([
    'objects.yaml:12:13: ScalePolicy default/p: spec.onDelete: is about workloads in Kubernetes; local processes always end with their policy: remove it',
  ]);
});
