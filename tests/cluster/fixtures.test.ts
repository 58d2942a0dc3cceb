import { expect, onTestFinished, test } from 'vitest';
import { eventually } from './support/eventually.ts';
import { applyFixtures } from './support/fixtures.ts';
import type { Pod } from './support/kubelet/objects.ts';
import { isKwokNode, ON_KWOK, startKwok } from './support/kwok.ts';
import { LeaderSetController } from './support/leader-sets.ts';
import { describeCluster, openNamespace, ownCluster, useNamespace } from './support/namespace.ts';
import { findTool } from './support/tools/find-tool.ts';
import { isReady, simDeployment } from './support/workloads.ts';

describeCluster('kinds of other projects', () => {
  const namespace = useNamespace({ nodes: [{}] });

  test('an InferencePool, objectives and rewrites of both groups, and a ScaledObject can be stored, with their defaults', async () => {
    const { cluster } = namespace();
    await applyFixtures(cluster, 'inferencepools', 'scaledobjects');
    for (const group of ['llm-d.ai', 'inference.networking.x-k8s.io'] as const) {
      await applyFixtures(cluster, `inferenceobjectives.${group}`, `inferencemodelrewrites.${group}`);
      const [objective] = await namespace().apply(`
apiVersion: ${group}/v1alpha2
kind: InferenceObjective
metadata: {name: urgent}
spec: {priority: -1, poolRef: {name: chat}}
---
apiVersion: ${group}/v1alpha2
kind: InferenceModelRewrite
metadata: {name: alias}
spec: {poolRef: {name: chat}, rules: [{matches: [{model: {value: gpt}}], targets: [{modelRewrite: llama, weight: 1}]}]}
`);
      expect(objective?.spec).toMatchObject({
        poolRef: { group: 'inference.networking.k8s.io', kind: 'InferencePool' },
      });
    }
    const [pool] = await namespace().apply(`
apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: chat}
spec: {selector: {matchLabels: {app: chat}}, targetPorts: [{number: 8000}], endpointPickerRef: {name: epp, port: {number: 9002}}}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: chat}
spec: {scaleTargetRef: {name: chat}, maxReplicaCount: 3}
`);
    expect(pool?.spec).toMatchObject({ appProtocol: 'http', endpointPickerRef: { failureMode: 'FailClose' } });
    const twice = { targetPorts: [{ number: 1 }, { number: 1 }], selector: { matchLabels: { a: 'b' } } };
    const refused = {
      apiVersion: 'inference.networking.k8s.io/v1',
      kind: 'InferencePool',
      metadata: { name: 'twice' },
      spec: twice,
    };
    await expect(namespace().apply([refused])).rejects.toMatchObject({ status: 422 });
  });

  test('a workload of an operator is scaled through its scale subresource, from zero and back', async () => {
    const { cluster, name } = namespace();
    await applyFixtures(cluster, 'leadersets');
    const controller = new LeaderSetController(cluster, name);
    onTestFinished(() => controller.stop());
    const { template } = (simDeployment('leaders') as { spec: { template: object } }).spec;
    const [set] = await namespace().apply([
      {
        apiVersion: 'test.pilotlight.dev/v1',
        kind: 'LeaderSet',
        metadata: { name: 'leaders' },
        spec: { replicas: 0, template },
      },
    ]);
    const path = `/apis/test.pilotlight.dev/v1/namespaces/${name}/leadersets/${set?.metadata.name ?? ''}/scale`;
    const scale = (replicas: number) =>
      cluster.api.request({ method: 'PATCH', path, patch: 'merge', body: { spec: { replicas } } });
    await scale(2);
    const told = () => cluster.api.request({ method: 'GET', path }) as Promise<{ status: { selector?: string } }>;
    await eventually(async () => (await told()).status.selector !== undefined, 'the selector is told');
    const pods = async () => (await namespace().pods((await told()).status.selector ?? '')) as Pod[];
    await eventually(async () => (await pods()).filter(isReady).length === 2, 'two are ready');
    await scale(0);
    await eventually(async () => (await pods()).length === 0, 'they are gone');
  });
});

describeCluster('KWOK', () => {
  test('a hundred pods without processes are ready within seconds and go again', async ({ skip }) => {
    const found = await findTool('kwok');
    if (found.kind === 'missing') return skip(found.why);
    const cluster = await ownCluster();
    await startKwok(cluster, { program: found.path, nodes: 1 });
    const namespace = await openNamespace(cluster, { ownNodes: false });
    await namespace.apply([simDeployment('many', { replicas: 100, gpus: 1, pod: ON_KWOK })]);
    const pods = async () => (await namespace.pods()) as Pod[];
    await eventually(async () => (await pods()).filter(isReady).length === 100, 'all are ready');
    expect((await pods()).every(({ spec }) => isKwokNode(spec.nodeName ?? ''))).toBe(true);
    await namespace.scale('deployments', 'many', 0);
    await eventually(async () => (await pods()).length === 0, 'all are gone');
  });
});
