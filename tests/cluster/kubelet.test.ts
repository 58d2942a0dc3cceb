import { expect, test } from 'vitest';
import { until } from '../support/until.ts';
import type { Pod } from './support/kubelet/objects.ts';
import { describeCluster, useNamespace } from './support/namespace.ts';

describeCluster('the kubelet stand-in', () => {
  const namespace = useNamespace({ nodes: [{ gpus: 3 }] });
  const pods = async (app: string) => (await namespace().pods(`app=${app}`)) as Pod[];
  const untilReady = (app: string, count: number) =>
    until(async () => (await pods(app)).filter(isReady).length === count, `${count} pods of ${app} are ready`);

  test('a Deployment of model servers becomes ready, answers on its pod addresses, and ends when scaled to zero', async () => {
    await namespace().apply([deployment('llama', { replicas: 2 })]);
    await untilReady('llama', 2);
    const addresses = (await pods('llama')).map(({ status }) => status?.podIP ?? '');
    expect(new Set(addresses).size).toBe(2);
    for (const address of addresses) {
      const answer = await fetch(`http://${address}:8000/v1/models`);
      expect(await answer.json()).toMatchObject({ data: [{ id: 'llama' }] });
    }
    await namespace().scale('deployments', 'llama', 0);
    await until(async () => (await pods('llama')).length === 0, 'the pods are gone');
    for (const address of addresses) await expect(fetch(`http://${address}:8000/health`)).rejects.toThrow();
  });
});

function deployment(
  name: string,
  options: {
    readonly replicas?: number;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly container?: object;
    readonly pod?: object;
  },
): object {
  const { replicas = 1, annotations = {}, container = {}, pod = {} } = options;
  const labels = { app: name };
  const main = {
    name: 'main',
    image: 'pilotlight-model-sim:test',
    args: ['--host', '0.0.0.0', '--model', name],
    ports: [{ name: 'http', containerPort: 8000 }],
    readinessProbe: { httpGet: { path: '/health', port: 'http' } },
    ...container,
  };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels, annotations: { 'test.pilotlight.dev/probe-ms': '50', ...annotations } },
        spec: { terminationGracePeriodSeconds: 5, containers: [main], ...pod },
      },
    },
  };
}

function isReady({ status }: Pod): boolean {
  return status?.conditions?.some((each) => each.type === 'Ready' && each.status === 'True') ?? false;
}
