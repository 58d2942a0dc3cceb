import { readFile } from 'node:fs/promises';
import { beforeAll, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import type { Section } from '../../src/cli/doctor/judge.ts';
import { useRedis } from '../support/redis.ts';
import { run, withFiles } from '../unit/cli/support.ts';
import { describeCluster, useNamespace } from './support/namespace.ts';
import { applyCrds } from './support/sim-pool.ts';

const redis = useRedis();
const EXAMPLE = new URL('../../examples/kubernetes/vllm.yaml', import.meta.url);

/** A Deployment as people write it who have never scaled one to zero. */
const CARELESS = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: qwen}
spec:
  replicas: 2
  selector: {matchLabels: {app: qwen}}
  template:
    metadata: {labels: {app: qwen}}
    spec:
      containers:
        - name: vllm
          image: vllm/vllm-openai:v0.18.0
          args: [--model=Qwen/Qwen3-8B, --max-num-seqs=64]
          ports: [{containerPort: 8000}]
          resources: {limits: {nvidia.com/gpu: 1}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: qwen}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: qwen}
  maxReplicas: 4
`;

describeCluster('pilotlight init and doctor', () => {
  const namespace = useNamespace();
  beforeAll(() => applyCrds(namespace().cluster));
  const cli = (...argv: string[]) =>
    run([...argv, '--kubeconfig', namespace().cluster.kubeconfig, '-n', namespace().name]);
  const problemsOf = async (...argv: string[]): Promise<readonly string[]> => {
    const { stdout } = await cli('doctor', ...argv, '-o', 'json');
    const { sections } = JSON.parse(stdout) as { sections: readonly Section[] };
    return sections
      .flatMap(({ findings }) => findings)
      .filter(({ level }) => level === 'fail' || level === 'warn')
      .map(({ level, check, found }) => `${level} ${check}: ${found}`);
  };

  test('what init prints for a careless Deployment is taken by `config validate` and by the API server, and doctor names each fault', async () => {
    await namespace().apply(CARELESS);
    const adopted = await cli('init', '--from', 'deployment/qwen');
    expect(adopted.exitCode).toBe(0);
    expect(adopted.stderr).toContain('things to change first');
    const file = withFiles({ 'qwen.yaml': adopted.stdout });
    expect(await run(['config', 'validate', '-f', file('qwen.yaml')])).toMatchObject({ exitCode: 0 });
    await namespace().apply(adopted.stdout);
    const policy = await namespace().get('pilotlight.dev/v1alpha1', 'ScalePolicy', 'qwen');
    expect(policy?.spec).toMatchObject({
      mode: 'Observe',
      models: [{ name: 'Qwen/Qwen3-8B' }],
      targets: [{ maxReplicas: 4, slotsPerEndpoint: 65, gpusPerReplica: 1 }],
    });
    const again = await cli('init', '--from', 'deployment/qwen');
    expect(again).toMatchObject({ exitCode: 1 });
    expect(again.stderr).toContain('has Deployment qwen already');

    const { exitCode, stdout } = await cli('doctor', 'qwen');
    expect(exitCode).toBe(1);
    expect(stdout).toContain('terminationGracePeriodSeconds: 915');
    const found = (await problemsOf('qwen')).join('\n');
    for (const part of [
      'warn writers: HorizontalPodAutoscaler qwen',
      'warn probes: qwen has no startup probe',
      'fail probes: qwen has no readiness probe',
      'fail shutdown: qwen runs vLLM without --shutdown-timeout',
      'fail shutdown: qwen is killed 30 s after',
      'warn rollout: maxSurge of qwen is 25%',
      'warn rollout: qwen calls a rollout failed after 600 s',
      'warn disruption: a node autoscaler may move pods of qwen',
    ]) {
      expect(found).toContain(part);
    }
  });

  test('the example of a vLLM Deployment has no fault, and its pool is found by init', async () => {
    const text = await readFile(EXAMPLE, 'utf8');
    await namespace().apply(text);
    expect(await problemsOf('llama')).toEqual([]);
    const { name, cluster } = namespace();
    await cluster.api.request({
      method: 'DELETE',
      path: `/apis/pilotlight.dev/v1alpha1/namespaces/${name}/scalepolicies/llama`,
    });
    const { stdout } = await cli('init', '--from', 'deploy/llama', '--models', 'llama,small');
    expect(stdout).toContain('poolRef: { name: llama }');
    expect(stdout).toContain('metadata:\n  name: nightly\n');
    expect(stdout).not.toContain('To change before');
    const [policy] = parseAllDocuments(stdout).flatMap(
      (document) => (document.toJS() as { kind: string; spec: object } | null) ?? [],
    );
    expect(policy).toMatchObject({ kind: 'ScalePolicy', spec: { models: [{ name: 'llama' }, { name: 'small' }] } });
  });

  test('an installed gateway is measured: its rights, its grace and the Ingress in front of it', async () => {
    const labels = { 'app.kubernetes.io/name': 'pilotlight', 'app.kubernetes.io/component': 'gateway' };
    const container = { name: 'gateway', image: 'pilotlight:test' };
    const volumes = [{ name: 'configuration', configMap: { name: 'pilotlight-configuration' } }];
    const backend = { service: { name: 'pilotlight', port: { number: 80 } } };
    await namespace().apply([
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'pilotlight-gateway' } },
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'pilotlight-configuration' },
        data: { 'gateway.yaml': 'spec: {timeouts: {maxHold: 20m, drain: 30s}}' },
      },
      {
        apiVersion: 'apps/v1',
        kind: 'StatefulSet',
        metadata: { name: 'pilotlight-gateway', labels },
        spec: {
          replicas: 0,
          serviceName: 'pilotlight',
          selector: { matchLabels: labels },
          template: {
            metadata: { labels },
            spec: { serviceAccountName: 'pilotlight-gateway', containers: [container], volumes },
          },
        },
      },
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'pilotlight' },
        spec: { selector: labels, ports: [{ port: 80 }] },
      },
      {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'Ingress',
        metadata: { name: 'front' },
        spec: { defaultBackend: backend },
      },
    ]);
    const found = (await problemsOf('--install-namespace', namespace().name)).join('\n');
    expect(found).toContain(
      `fail rights: ServiceAccount ${namespace().name}/pilotlight-gateway (gateway) cannot get pods`,
    );
    expect(found).toContain('pilotlight-gateway ends within 30 s, but holds calls for up to 20m');
    expect(found).toContain('Ingress front ends a call that is silent for 60 s');
  });

  test('the Redis of the settings is looked at; a URL with a password is none for a flag', async () => {
    const place = ['--kubeconfig', namespace().cluster.kubeconfig, '-n', namespace().name];
    const { stdout } = await run(['doctor', '--all', ...place], { environment: { PILOTLIGHT_REDIS_URL: redis.url } });
    expect(stdout).toMatch(/Redis: .*(append-only file)/);
    const shown = await cli('doctor', '--redis-url', redis.url);
    expect(shown.stdout).toContain('fail  Redis: redis.url the process list shows flags to everybody');
    const dead = await cli('doctor', '--redis-url', 'http://127.0.0.1');
    expect(dead.stdout).toMatch(/fail {2}Redis: .*http:/);
    expect(dead.exitCode).toBe(1);
  });
});
