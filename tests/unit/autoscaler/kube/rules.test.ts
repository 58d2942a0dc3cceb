import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { otherScaler } from '../../../../src/autoscaler/policy/kube/other-scalers.ts';
import type { Pod } from '../../../../src/autoscaler/policy/kube/pod.ts';
import { uidOf } from '../../../../src/autoscaler/policy/kube/pod.ts';
import { ordinalOf, victimsByCost, victimsByOrdinal } from '../../../../src/autoscaler/policy/kube/victims.ts';
import { podTemplateHash, workloadView } from '../../../../src/autoscaler/policy/kube/workload.ts';
import {
  forgiveTools,
  noWriter,
  type ReplicasWriter,
  replicasWriter,
  seeReplicas,
  wroteReplicas,
} from '../../../../src/autoscaler/policy/kube/writers.ts';
import { NOW_MS, type PodStage, pod } from './support/builders.ts';

const STAGES: readonly PodStage[] = ['unscheduled', 'scheduled', 'loading', 'ready'];

/** The removal order of the ReplicaSet controller, written down a second time. */
function removedByReplicaSet(pods: readonly Pod[], count: number, cheap: ReadonlySet<string>): readonly string[] {
  const rank = (one: Pod): number => {
    if (!one.spec?.nodeName) return 0;
    if (one.status?.phase === 'Pending') return 1;
    return one.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ? 3 : 2;
  };
  const cost = (one: Pod): number => (cheap.has(uidOf(one)) ? -1_000 : 0);
  return [...pods]
    .sort((a, b) => rank(a) - rank(b) || cost(a) - cost(b))
    .slice(0, count)
    .map(uidOf);
}

const question = fc
  .array(fc.record({ stage: fc.constantFrom(...STAGES), chosen: fc.boolean() }), { maxLength: 8 })
  .chain((rows) =>
    fc.record({ rows: fc.constant(rows), missing: fc.nat({ max: 3 }) }).chain((known) =>
      fc.record({
        ...{ rows: fc.constant(known.rows), missing: fc.constant(known.missing) },
        unborn: fc.nat({ max: known.missing }),
      }),
    ),
  );

test('property: what a ReplicaSet removes is what was chosen, whatever the pods are at', () => {
  fc.assert(
    fc.property(question, ({ rows, missing, unborn }) => {
      const pods = rows.map(({ stage }, index) => pod({ name: `llama-5d4f8c7b9-${index}`, stage }));
      const victims = new Set(pods.filter((_, index) => rows[index]?.chosen).map(uidOf));
      const replicas = pods.length + missing;
      const { ended, needCost, leftOut } = victimsByCost({ pods, replicas, victims, unborn });
      expect(new Set([...ended, ...leftOut])).toEqual(victims);
      const lowered = replicas - ended.length - unborn;
      expect(lowered).toBeGreaterThanOrEqual(0);
      const removed = removedByReplicaSet(pods, Math.max(0, pods.length - lowered), new Set(needCost));
      expect(new Set(removed)).toEqual(new Set(ended));
    }),
  );
});

test('property: a StatefulSet loses exactly the highest ordinals of those chosen', () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 8 }), (chosen) => {
      const pods = chosen.map((_, index) =>
        pod({ name: `llama-${index}`, owner: { kind: 'StatefulSet', name: 'llama' } }),
      );
      const victims = new Set(pods.filter((_, index) => chosen[index]).map(uidOf));
      const { ended } = victimsByOrdinal({ pods, replicas: pods.length, victims, unborn: 0 });
      const spared = chosen.lastIndexOf(false);
      expect(new Set(ended)).toEqual(new Set(pods.slice(spared + 1).map(uidOf)));
    }),
  );
});

test.each([
  { name: 'llama-12', owner: 'StatefulSet', labels: {}, want: 12 },
  { name: 'x', owner: 'StatefulSet', labels: { 'apps.kubernetes.io/pod-index': '3' }, want: 3 },
  { name: 'big-0-1', owner: 'StatefulSet', labels: { 'leaderworkerset.sigs.k8s.io/group-index': '2' }, want: 2 },
  { name: 'llama-5d4f8c7b9-77777', owner: 'ReplicaSet', labels: {}, want: null },
])('the place of $name of a $owner is $want', ({ name, owner, labels, want }) => {
  expect(ordinalOf(pod({ name, labels, owner: { kind: owner, name: 'o' } }))).toBe(want);
});

describe('who writes spec.replicas', () => {
  const entry = (manager: string, time: string, fields: object = { 'f:spec': { 'f:replicas': {} } }) => ({
    manager,
    time,
    subresource: 'scale',
    fieldsV1: fields as Record<string, unknown>,
  });

  test('the newest owner of the field counts, and who owns other fields does not', () => {
    const fields = [
      entry('helm', '2023-11-14T20:00:00Z'),
      entry('kubectl', '2023-11-14T21:00:00Z'),
      entry('argocd-controller', '2023-11-14T22:00:00Z', { 'f:spec': { 'f:template': {} } }),
    ];
    expect(replicasWriter(fields)).toMatchObject({ manager: 'kubectl', kind: 'person', viaScale: true });
    expect(replicasWriter([])).toBeNull();
  });

  test.each([
    ['pilotlight', 'own'],
    ['kubectl-edit', 'person'],
    ['k9s', 'person'],
    ['argocd-application-controller', 'tool'],
    ['kustomize-controller', 'tool'],
    ['kube-controller-manager', 'tool'],
    ['some-operator', 'unknown'],
  ] as const)('%s is %s', (manager, kind) => {
    expect(replicasWriter([entry(manager, '2023-11-14T21:00:00Z')])?.kind).toBe(kind);
  });

  const by = (manager: string, kind: ReplicasWriter['kind'], agoMs = 0): ReplicasWriter => ({
    manager,
    kind,
    viaScale: true,
    atEpochMs: NOW_MS - agoMs,
  });
  const see = (replicas: number, writer: ReplicasWriter | null, nowMs = 0) => ({
    replicas,
    writer,
    nowMs,
    nowEpochMs: NOW_MS + nowMs,
  });

  test('on the first sight only a fresh scale by hand is a wish', () => {
    expect(seeReplicas(noWriter, see(3, by('pilotlight', 'own'))).hold).toBeNull();
    expect(seeReplicas(noWriter, see(3, by('kubectl', 'person', 900_000))).hold).toBeNull();
    expect(seeReplicas(noWriter, see(3, { ...by('kubectl', 'person'), viaScale: false })).hold).toBeNull();
    expect(seeReplicas(noWriter, see(3, by('kubectl', 'person', 200_000))).hold).toMatchObject({
      reason: 'ManualScale',
      leftMs: 400_000,
    });
  });

  test('our own number is no surprise after a write, and not after a restart', () => {
    const written = wroteReplicas(seeReplicas(noWriter, see(0, null)), 2);
    expect(seeReplicas(written, see(2, by('kubectl', 'person'))).hold).toBeNull();
    expect(seeReplicas(noWriter, see(2, by('pilotlight', 'own'))).hold).toBeNull();
  });

  test('a hold of a person passes after 10 minutes, and when we are told to act again', () => {
    const held = seeReplicas(seeReplicas(noWriter, see(1, null)), see(4, by('kubectl', 'person')));
    expect(seeReplicas(held, see(4, by('kubectl', 'person'), 599_999)).hold).not.toBeNull();
    expect(seeReplicas(held, see(4, by('kubectl', 'person'), 600_000)).hold).toBeNull();
    expect(forgiveTools(held).hold).not.toBeNull();
  });

  test('property: a tool is overruled at most twice before it is let alone', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 1_000_000 }), { minLength: 1, maxLength: 12 }), (gaps) => {
        let memory = seeReplicas(noWriter, see(0, null));
        let fought = 0;
        let nowMs = 0;
        for (const gap of gaps) {
          if (memory.hold !== null) break;
          memory = wroteReplicas(memory, 1);
          nowMs += gap;
          memory = seeReplicas(memory, see(0, by('argocd', 'tool'), nowMs));
          fought += 1;
        }
        expect(fought).toBeLessThanOrEqual(3);
        expect(memory.hold !== null).toBe(fought === 3);
      }),
    );
  });
});

describe('what a workload is', () => {
  const metadata = { name: 'llama', uid: 'd', resourceVersion: '5' };
  const set = (hash: string, revision: string, owner = 'd') => ({
    metadata: {
      name: hash,
      labels: { 'pod-template-hash': hash },
      annotations: { 'deployment.kubernetes.io/revision': revision },
      ownerReferences: [{ apiVersion: 'apps/v1', kind: 'Deployment', name: 'llama', uid: owner }],
    },
  });

  test('its template is the newest of its own ReplicaSets, and a number of replicas is no template', () => {
    const hash = (replicas: number) =>
      workloadView('Deployment', { metadata, spec: { replicas } }, null, [
        set('old', '9'),
        set('new', '10'),
        set('other', '11', 'x'),
      ]).templateHash;
    expect([hash(0), hash(7)]).toEqual(['new', 'new']);
    const own = (spec: object) => workloadView('GpuFarm', { metadata, spec }, { metadata }, []).templateHash;
    expect(own({ replicas: 1, model: 'a' })).toBe(own({ replicas: 5, model: 'a' }));
    expect(own({ model: 'b' })).not.toBe(own({ model: 'a' }));
    expect(podTemplateHash('StatefulSet', { 'controller-revision-hash': 'llama-1' })).toBe('llama-1');
    expect(podTemplateHash('GpuFarm', { 'pod-template-hash': 'x' })).toBeNull();
  });

  test('an empty spec is zero in a /scale, and one in a Deployment', () => {
    expect(workloadView('Deployment', { metadata }, null, []).replicas).toBe(1);
    expect(workloadView('GpuFarm', { metadata }, { metadata, spec: {} }, []).replicas).toBe(0);
  });

  test.each([
    { kind: 'Deployment', status: { replicas: 3, updatedReplicas: 1 }, rolls: true },
    { kind: 'Deployment', status: { replicas: 0 }, rolls: false },
    { kind: 'StatefulSet', status: { replicas: 2, updatedReplicas: 2 }, rolls: false },
    {
      kind: 'StatefulSet',
      status: { replicas: 2, updatedReplicas: 1 },
      spec: { updateStrategy: { type: 'OnDelete' } },
      rolls: false,
    },
    {
      kind: 'StatefulSet',
      status: { replicas: 2, updatedReplicas: 1 },
      spec: { updateStrategy: { rollingUpdate: { partition: 1 } } },
      rolls: false,
    },
  ])('$kind $status $spec rolls out: $rolls', ({ kind, status, spec, rolls }) => {
    expect(workloadView(kind, { metadata, status, ...(spec ? { spec } : {}) }, null, []).rolling !== null).toBe(rolls);
  });
});

test.each([
  { name: 'the same workload', ref: {}, namespace: 'ml', found: true },
  { name: 'another name', ref: { name: 'other' }, namespace: 'ml', found: false },
  { name: 'another kind', ref: { kind: 'StatefulSet' }, namespace: 'ml', found: false },
  { name: 'another group', ref: { apiVersion: 'argoproj.io/v1alpha1' }, namespace: 'ml', found: false },
  { name: 'another namespace', ref: {}, namespace: 'else', found: false },
])('another scaler of $name is found: $found', ({ ref, namespace, found }) => {
  const scaleTargetRef = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'llama', ...ref };
  const scaler = { metadata: { name: 'hpa', namespace }, spec: { scaleTargetRef } };
  const target = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'llama' };
  expect(otherScaler('HorizontalPodAutoscaler', [scaler], 'ml', target) !== null).toBe(found);
});
