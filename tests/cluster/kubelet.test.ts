import { expect, test } from 'vitest';
import { eventually } from './support/eventually.ts';
import type { Pod } from './support/kubelet/objects.ts';
import { describeCluster, openNamespace, ownCluster, useNamespace } from './support/namespace.ts';
import { cordonNode } from './support/nodes.ts';
import { behaviourAnnotations, conditionOf, isReady, simDeployment, waitingReason } from './support/workloads.ts';

/** Prints what it is given and stays until SIGTERM. */
const PRINTING = {
  image: 'pilotlight:test',
  command: ['node', '-e'],
  readinessProbe: { exec: { command: ['/bin/true'] } },
};
const STAY = 'setInterval(() => 0, 1000);';

describeCluster('the kubelet stand-in', { concurrent: true }, () => {
  const namespace = useNamespace({ nodes: [{ gpus: 3 }] });
  const pods = async (app: string) => (await namespace().pods(`app=${app}`)) as Pod[];
  const untilPods = (app: string, what: string, holds: (pods: Pod[]) => boolean) =>
    eventually(async () => holds(await pods(app)), `${app}: ${what}`);
  const untilReady = (app: string, count: number) =>
    untilPods(app, `${count} are ready`, (all) => all.filter(isReady).length === count);
  const untilOne = async (app: string, what: string, holds: (pod: Pod) => boolean): Promise<Pod> => {
    await untilPods(app, what, ([pod]) => pod !== undefined && holds(pod));
    return (await pods(app))[0]!;
  };
  const events = async (pod: Pod) => {
    const all = (await namespace().list('v1', 'Event')) as unknown as KubeEvent[];
    return all.filter(({ involvedObject }) => involvedObject.uid === pod.metadata.uid);
  };
  const untilEvent = (pod: Pod, reason: string, text = '') =>
    eventually(
      async () => (await events(pod)).some((each) => each.reason === reason && each.message.includes(text)),
      `event ${reason} ${text}`,
    );
  const annotate = (pod: Pod, behaviour: Readonly<Record<string, string | null>>) =>
    namespace().cluster.api.request({
      method: 'PATCH',
      path: `/api/v1/namespaces/${namespace().name}/pods/${pod.metadata.name}`,
      patch: 'merge',
      body: { metadata: { annotations: behaviourAnnotations(behaviour) } },
    });

  test('a Deployment of model servers becomes ready, answers on its pod addresses, and ends when scaled to zero', async () => {
    await namespace().apply([simDeployment('llama', { replicas: 2 })]);
    await untilReady('llama', 2);
    const addresses = (await pods('llama')).map(({ status }) => status?.podIP ?? '');
    expect(new Set(addresses).size).toBe(2);
    for (const address of addresses) {
      const answer = await fetch(`http://${address}:8000/v1/models`);
      expect(await answer.json()).toMatchObject({ data: [{ id: 'llama' }] });
    }
    await namespace().scale('deployments', 'llama', 0);
    await untilPods('llama', 'the pods are gone', (all) => all.length === 0);
    for (const address of addresses) await expect(fetch(`http://${address}:8000/health`)).rejects.toThrow();
  });

  test('a fourth pod on three GPUs is unschedulable until one is free', async () => {
    await namespace().apply([simDeployment('gpus', { replicas: 4, gpus: 1 })]);
    await untilReady('gpus', 3);
    await untilPods('gpus', 'one is unschedulable', (all) =>
      all.some((pod) => conditionOf(pod, 'PodScheduled')?.reason === 'Unschedulable'),
    );
    await namespace().scale('deployments', 'gpus', 3);
    await untilPods('gpus', 'the pending one went', (all) => all.length === 3 && all.every(isReady));
    await namespace().scale('deployments', 'gpus', 0);
    await untilPods('gpus', 'all went', (all) => all.length === 0);
  });

  test('no pod comes to a node that is cordoned or gone', async () => {
    const { cluster } = namespace();
    const other = await openNamespace(cluster, { nodes: [{}, {}] });
    const [first = '', second = ''] = other.nodes;
    await cordonNode(cluster, first);
    await other.removeNode(second);
    await other.apply([simDeployment('homeless')]);
    const one = async () => ((await other.pods()) as Pod[])[0];
    const unschedulable = async () => {
      const pod = await one();
      return pod !== undefined && conditionOf(pod, 'PodScheduled')?.reason === 'Unschedulable';
    };
    await eventually(unschedulable, 'it finds no node');
    await cordonNode(cluster, first, false);
    await eventually(async () => (await one())?.spec.nodeName === first, 'it goes to the node that takes pods again');
    await other.close();
  });

  test('init containers run to their end, in their order, before the others start', async () => {
    const init = (name: string, code: string) => ({ name, image: 'pilotlight:test', command: ['node', '-e', code] });
    const volumeMounts = [{ name: 'shared', mountPath: '/shared' }];
    const append = (text: string) => `require('fs').appendFileSync('/shared/order', '${text} ')`;
    const pod = {
      volumes: [{ name: 'shared', emptyDir: {} }],
      initContainers: ['first', 'second'].map((name) => ({ ...init(name, append(name)), volumeMounts })),
    };
    const print = `console.log(require('fs').readFileSync('/shared/order', 'utf8')); ${STAY}`;
    await namespace().apply([simDeployment('init', { container: { ...PRINTING, args: [print], volumeMounts }, pod })]);
    const { metadata } = await untilOne('init', 'is ready', isReady);
    await eventually(
      async () => (await namespace().log(metadata.name, 'main')) === 'first second \n',
      'it has printed',
    );
  });

  test('a grace period is given to a server that finishes its work, and no more than that to one that does not', async () => {
    const slow = `process.on('SIGTERM', () => setTimeout(() => { console.log('done'); process.exit(0); }, 300)); console.log('up'); ${STAY}`;
    const deaf = `process.on('SIGTERM', () => console.log('deaf')); console.log('up'); ${STAY}`;
    const short = { terminationGracePeriodSeconds: 1 };
    await namespace().apply([
      simDeployment('slow', { container: { ...PRINTING, args: [slow] } }),
      simDeployment('deaf', { container: { ...PRINTING, args: [deaf] }, pod: short }),
    ]);
    for (const app of ['slow', 'deaf']) {
      const { metadata } = await untilOne(app, 'is ready', isReady);
      await eventually(async () => (await namespace().log(metadata.name, 'main')) === 'up\n', `${app} is up`);
      await namespace().scale('deployments', app, 0);
      await untilPods(app, 'it is gone', (all) => all.length === 0);
      expect(await namespace().log(metadata.name, 'main')).toBe(app === 'slow' ? 'up\ndone\n' : 'up\ndeaf\n');
    }
  });

  test('preStop runs to its end before SIGTERM', async () => {
    const program = `process.on('SIGTERM', () => { console.log('term'); process.exit(0); }); require('http').createServer((q, r) => { console.log(q.url); r.end(); }).listen(9000, '0.0.0.0'.replace(/0.0.0.0/, process.env.ME)); ${STAY}`;
    const lifecycle = { preStop: { httpGet: { path: '/drain', port: 9000 } } };
    const env = [{ name: 'ME', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }];
    const readinessProbe = { tcpSocket: { port: 9000 } };
    await namespace().apply([
      simDeployment('prestop', { container: { ...PRINTING, args: [program], env, lifecycle, readinessProbe } }),
    ]);
    const { metadata } = await untilOne('prestop', 'is ready', isReady);
    await namespace().scale('deployments', 'prestop', 0);
    await untilPods('prestop', 'it is gone', (all) => all.length === 0);
    expect(await namespace().log(metadata.name, 'main')).toBe('/drain\nterm\n');
  });

  test('an image that is not there is pulled again and again, until it is there', async () => {
    await namespace().apply([
      simDeployment('pull', { container: { image: 'typo:test' }, behaviour: { 'pull-backoff-ms': '200' } }),
    ]);
    const pod = await untilOne('pull', 'backs off', (each) => waitingReason(each) === 'ImagePullBackOff');
    expect(pod.status?.phase).toBe('Pending');
    await untilEvent(pod, 'Failed', 'Error: ErrImagePull');
    await untilEvent(pod, 'BackOff', 'Back-off pulling image "typo:test"');
    namespace().kubelet.setImage('typo:test', { entrypoint: ['/bin/sh', '-c', 'sleep 600'] });
    await untilOne('pull', 'runs', ({ status }) => status?.containerStatuses?.[0]?.state.running !== undefined);
  });

  test('a container that runs out of memory crashes into a back-off, is started again and recovers', async () => {
    const behaviour = {
      'crash-after-ms': '100',
      'crash-reason': 'OOMKilled',
      'crash-times': '2',
      'backoff-ms': '2000',
    };
    await namespace().apply([simDeployment('oom', { behaviour })]);
    const looping = await untilOne('oom', 'is in a crash loop', (pod) => waitingReason(pod) === 'CrashLoopBackOff');
    const [container] = looping.status?.containerStatuses ?? [];
    expect(container?.lastState.terminated).toMatchObject({ reason: 'OOMKilled', exitCode: 137 });
    expect(conditionOf(looping, 'Ready')).toMatchObject({ status: 'False', reason: 'ContainersNotReady' });
    const ready = await untilOne('oom', 'recovers', isReady);
    expect(ready.status?.containerStatuses?.[0]?.restartCount).toBe(2);
    await untilEvent(ready, 'BackOff', 'Back-off restarting failed container main');
  });

  test('a server that exits by itself is reported with its exit code', async () => {
    const container = { args: ['--host', '0.0.0.0', '--crash-at-boot', '7', '--boot-load', '100ms'] };
    await namespace().apply([simDeployment('exits', { container, behaviour: { 'backoff-ms': '60000' } })]);
    const pod = await untilOne('exits', 'is in a crash loop', (each) => waitingReason(each) === 'CrashLoopBackOff');
    expect(pod.status?.containerStatuses?.[0]?.lastState.terminated).toMatchObject({ exitCode: 7, reason: 'Error' });
  });

  test('a startup probe holds back readiness; a failing liveness probe restarts the container', async () => {
    const http = { httpGet: { path: '/health', port: 8000 } };
    const container = {
      args: ['--host', '0.0.0.0', '--model', 'probes', '--boot-load', '400ms'],
      startupProbe: { ...http, failureThreshold: 200 },
      livenessProbe: { httpGet: { path: '/nowhere', port: 8000 }, failureThreshold: 3 },
    };
    await namespace().apply([simDeployment('probes', { container })]);
    await untilOne('probes', 'loads', ({ status }) => status?.containerStatuses?.[0]?.started === false);
    const pod = await untilOne(
      'probes',
      'was restarted',
      ({ status }) => (status?.containerStatuses?.[0]?.restartCount ?? 0) > 0,
    );
    await untilEvent(pod, 'Unhealthy', 'Startup probe failed');
    await untilEvent(pod, 'Unhealthy', 'Liveness probe failed: HTTP probe failed with statuscode: 404');
    await untilEvent(pod, 'Killing', 'failed liveness probe, will be restarted');
  });

  test('what can go wrong before a container starts is shown as a kubelet shows it', async () => {
    await namespace().apply([
      simDeployment('mounts', { behaviour: { 'mount-error': 'no such disk' } }),
      simDeployment('hangs', { behaviour: { hang: 'creating' } }),
      simDeployment('refused', { replicas: 0 }),
      simDeployment('config', {
        container: { env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 'nowhere', key: 'a' } } }] },
      }),
    ]);
    const mounts = await untilOne('mounts', 'exists', ({ spec }) => spec.nodeName !== undefined);
    await untilEvent(mounts, 'FailedMount', 'no such disk');
    const hangs = await untilOne('hangs', 'is being created', (pod) => waitingReason(pod) === 'ContainerCreating');
    expect(conditionOf(hangs, 'PodReadyToStartContainers')).toMatchObject({ status: 'False' });
    const config = await untilOne('config', 'waits', (pod) => waitingReason(pod) === 'CreateContainerConfigError');
    await untilEvent(config, 'Failed', 'secret "nowhere" not found');
    await annotate(mounts, { 'mount-error': null });
    await annotate(hangs, { hang: null });
    await namespace().apply([
      { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'nowhere' }, stringData: { a: 'b' } },
    ]);
    for (const app of ['mounts', 'hangs', 'config']) await untilReady(app, 1);
  });

  test('a pod that the node refuses has failed for good', async () => {
    const pod = {
      name: 'refused',
      annotations: behaviourAnnotations({ 'admission-error': 'no healthy devices' }),
      labels: { app: 'alone' },
    };
    const containers = [{ name: 'main', image: 'pilotlight-model-sim:test' }];
    await namespace().apply([{ apiVersion: 'v1', kind: 'Pod', metadata: pod, spec: { containers } }]);
    const failed = await untilOne('alone', 'has failed', ({ status }) => status?.phase === 'Failed');
    expect(failed.status).toMatchObject({ reason: 'UnexpectedAdmissionError' });
    await namespace().cluster.remove(
      [{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'refused' } }],
      namespace().name,
    );
    await untilPods('alone', 'it is gone', (all) => all.length === 0);
  });

  test('annotations change a running pod: readiness, address, disruption, and how long its GPU stays taken', async () => {
    await namespace().apply([simDeployment('moody')]);
    const pod = await untilOne('moody', 'is ready', isReady);
    await annotate(pod, {
      readiness: 'failing',
      'pod-ip': '127.1.255.254',
      'disruption-target': 'EvictionByEvictionAPI',
    });
    const changed = await untilOne('moody', 'is not ready', (each) => !isReady(each));
    expect(changed.status?.podIP).toBe('127.1.255.254');
    expect(namespace().kubelet.addressOf(pod)).toBe(pod.status?.podIP);
    expect(conditionOf(changed, 'DisruptionTarget')).toMatchObject({ status: 'True', reason: 'EvictionByEvictionAPI' });
    expect(conditionOf(changed, 'PodScheduled')).toMatchObject({ status: 'True' });
    await annotate(pod, { readiness: null, 'terminate-ms': '500' });
    await untilReady('moody', 1);
    await namespace().scale('deployments', 'moody', 0);
    await untilOne(
      'moody',
      'ended but stays',
      (each) => each.status?.containerStatuses?.[0]?.state.terminated !== undefined,
    );
    await untilPods('moody', 'it is gone', (all) => all.length === 0);
  });

  test('env, ConfigMaps, Secrets and scratch folders reach the process, and edits of a ConfigMap too', async () => {
    await namespace().apply([
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'settings' },
        data: { 'a.txt': 'see /etc/settings/a.txt on 0.0.0.0:80', level: 'debug' },
      },
      { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'keys' }, stringData: { key: 's3cret' } },
    ]);
    const program =
      'const fs = require("fs"); const e = process.env; console.log([e.LEVEL, e.KEY, e.NAME, e.GREETING, process.argv[1]].join(" "));' +
      `fs.writeFileSync(process.argv[2] + "/x", "1"); let last; setInterval(() => { const t = fs.readFileSync(e.FILE, "utf8"); if (t !== last) console.log(last = t); }, 20);`;
    const container = {
      ...PRINTING,
      args: [program, '$(GREETING)!', '/scratch'],
      env: [
        { name: 'LEVEL', valueFrom: { configMapKeyRef: { name: 'settings', key: 'level' } } },
        { name: 'KEY', valueFrom: { secretKeyRef: { name: 'keys', key: 'key' } } },
        { name: 'NAME', valueFrom: { fieldRef: { fieldPath: "metadata.labels['app']" } } },
        { name: 'ABSENT', valueFrom: { configMapKeyRef: { name: 'nowhere', key: 'x', optional: true } } },
        { name: 'GREETING', value: 'hello-$(NAME)' },
        { name: 'FILE', value: '/etc/settings/a.txt' },
      ],
      volumeMounts: [
        { name: 'settings', mountPath: '/etc/settings' },
        { name: 'scratch', mountPath: '/scratch' },
      ],
    };
    const volumes = [
      { name: 'settings', configMap: { name: 'settings' } },
      { name: 'scratch', emptyDir: {} },
    ];
    await namespace().apply([simDeployment('files', { container, pod: { volumes } })]);
    const { metadata, status } = await untilOne('files', 'is ready', isReady);
    const log = () => namespace().log(metadata.name, 'main');
    await eventually(async () => (await log()).split('\n').length > 2, 'it has printed');
    const [first, second = ''] = (await log()).split('\n');
    expect(first).toBe('debug s3cret files hello-files hello-files!');
    expect(second).toMatch(/^see \/.+\/etc\/settings\/a\.txt on /);
    expect(second.endsWith(` on ${status?.podIP ?? ''}:80`)).toBe(true);
    await namespace().apply([
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings' }, data: { 'a.txt': 'new', level: 'debug' } },
    ]);
    await eventually(async () => (await log()).endsWith('new\n'), 'the edit reached the file');
  });

  test('a process uses the API server as the ServiceAccount of its pod', async () => {
    const program =
      'import { KubeConfig, AuthenticationV1Api } from "@kubernetes/client-node"; const c = new KubeConfig(); c.loadFromDefault();' +
      'const r = await c.makeApiClient(AuthenticationV1Api).createSelfSubjectReview({ body: {} }); console.log(JSON.stringify(r.status.userInfo)); setInterval(() => 0, 1000);';
    const container = {
      ...PRINTING,
      command: ['node', '--input-type=module', '-e'],
      args: [program],
      workingDir: process.cwd(),
    };
    await namespace().apply([
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'gateway' } },
      simDeployment('identity', { container, pod: { serviceAccountName: 'gateway' } }),
    ]);
    const { metadata } = await untilOne('identity', 'is ready', isReady);
    await eventually(
      async () => (await namespace().log(metadata.name, 'main')).includes('\n'),
      'it has asked who it is',
    );
    const user = JSON.parse(await namespace().log(metadata.name, 'main')) as unknown;
    expect(user).toMatchObject({
      username: `system:serviceaccount:${namespace().name}:gateway`,
      extra: { 'authentication.kubernetes.io/pod-name': [metadata.name] },
    });
  });
});

describeCluster('the kubelet stand-in without an API server', () => {
  test('pods keep running while the API server is away, and what was ordered then happens when it is back', async () => {
    const cluster = await ownCluster();
    const own = await openNamespace(cluster, { nodes: [{}] });
    cluster.onClose(() => own.close());
    const all = async () => (await own.pods()) as Pod[];
    await own.apply([simDeployment('steady')]);
    await eventually(async () => (await all()).some(isReady), 'it is ready');
    const address = (await all())[0]?.status?.podIP ?? '';
    await cluster.stopApiServer('at once');
    expect((await fetch(`http://${address}:8000/health`)).status).toBe(200);
    await cluster.startApiServer();
    await own.scale('deployments', 'steady', 2);
    await eventually(async () => (await all()).filter(isReady).length === 2, 'the second is ready');
    expect(
      (await all()).some(
        ({ status }) => status?.podIP === address && status.containerStatuses?.[0]?.restartCount === 0,
      ),
    ).toBe(true);
    await cluster.close();
    await expect(fetch(`http://${address}:8000/health`)).rejects.toThrow();
  });
});

interface KubeEvent {
  readonly involvedObject: { readonly uid: string };
  readonly reason: string;
  readonly message: string;
}
