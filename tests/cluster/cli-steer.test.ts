import { beforeAll, describe, expect, test } from 'vitest';
import { KUBE_MARKS } from '../../src/core/kubernetes.ts';
import { useRedis } from '../support/redis.ts';
import { stoppedBy } from '../../src/cli/exit-codes.ts';
import { run } from '../unit/cli/support.ts';
import { eventually } from './support/eventually.ts';
import { describeCluster, useNamespace } from './support/namespace.ts';
import { startPilotlight } from './support/pilotlight.ts';
import { specReplicas, untilCondition } from './support/policy.ts';
import { applyCrds, simPool } from './support/sim-pool.ts';

const redis = useRedis();

describeCluster('pilotlight as a person in a cluster', () => {
  const namespace = useNamespace({ nodes: [{ gpus: 4 }] });
  beforeAll(() => applyCrds(namespace().cluster));
  const open = () => startPilotlight({ namespace: namespace(), redisUrl: redis.url });

  /** The CLI as a user who has these verbs on ScalePolicies, and may read what `explain` shows. */
  async function cliAs(user: 'tester-6' | 'tester-7', verbs: readonly string[]) {
    const { cluster, name } = namespace();
    const rules = [
      { apiGroups: ['pilotlight.dev'], resources: ['scalepolicies'], verbs },
      { apiGroups: [''], resources: ['pods', 'events'], verbs: ['list'] },
      { apiGroups: ['inference.networking.k8s.io'], resources: ['inferencepools'], verbs: ['get'] },
    ];
    const group = 'rbac.authorization.k8s.io';
    await namespace().apply([
      { apiVersion: `${group}/v1`, kind: 'Role', metadata: { name: user }, rules },
      {
        apiVersion: `${group}/v1`,
        kind: 'RoleBinding',
        metadata: { name: user },
        roleRef: { apiGroup: group, kind: 'Role', name: user },
        subjects: [{ apiGroup: group, kind: 'User', name: user }],
      },
    ]);
    const kubeconfig = cluster.kubeconfigFor(cluster.userToken(user), name);
    return (...argv: string[]) => run([...argv, '--kubeconfig', kubeconfig]);
  }

  test('wakes a pool and waits for it, looks at it, and drains it, with patch on its policy and no other right', async () => {
    await namespace().apply(simPool({ keepWarm: '30s' }));
    await open();
    await untilCondition(namespace(), 'chat', 'Ready', ({ reason }) => reason === 'Asleep');
    const cli = await cliAs('tester-6', ['get', 'list', 'patch']);

    const woken = await cli('wake', 'chat', '--replicas', '2', '--wait', '--timeout', '90s');
    expect(woken).toMatchObject({ exitCode: 0 });
    expect(woken.stdout).toMatch(/^at least 2 replicas are kept up until .* \(ordered by tester-6\)\n$/);
    expect(woken.stderr).toContain('chat: told to keep 2 up for 30m');
    expect(woken.stderr).toMatch(/ {2}Ready: 2 Ready\n$/);
    expect(await specReplicas(namespace(), 'chat')).toBe(2);

    const pools = JSON.parse((await cli('pools', '-o', 'json')).stdout) as { pools: object[] };
    expect(pools.pools).toMatchObject([{ pool: `${namespace().name}/chat`, phase: 'Ready', ready: 2, desired: 2 }]);
    const explained = await cli('explain', 'chat');
    expect(explained.stdout).toContain('is Ready: 2 ready, 0 booting, 2 wanted');
    expect(explained.stdout).toContain('ordered by tester-6');
    expect(explained.stdout.match(/^ {2}chat-\S+ +Ready +for .*$/gm)).toHaveLength(2);
    expect((await cli('queue', 'chat')).stdout).toContain('totals only');
    expect((await cli('status')).stdout).toContain(`${namespace().name}/chat`);

    const drained = await cli('drain', 'chat', '--wait', '--timeout', '90s');
    expect(drained).toMatchObject({ exitCode: 0 });
    await eventually(async () => (await namespace().pods('app=chat')).length === 0, 'no pod is left');
    const policy = await namespace().get('pilotlight.dev/v1alpha1', 'ScalePolicy', 'chat');
    expect(Object.keys(policy?.metadata.annotations ?? {}).filter((key) => key.startsWith('pilotlight.dev/'))).toEqual([
      KUBE_MARKS.drainUntil,
      KUBE_MARKS.orderedBy,
    ]);
  });

  test('gives the same orders on the admin listener, with a token', async () => {
    await namespace().apply(simPool({ name: 'remote' }));
    const pilotlight = await open();
    const { cluster, name } = namespace();
    const token = await cluster.tokenFor('operator', name, { audiences: ['pilotlight'] });
    const cli = (environment: Readonly<Record<string, string>>, ...argv: string[]) =>
      run([...argv, '--admin-url', pilotlight.adminUrl], { environment, fetch });
    const refused = await cli({}, 'pools');
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain('kubectl create token NAME --audience pilotlight');
    const environment = { PILOTLIGHT_ADMIN_TOKEN: token };
    const woken = await cli(environment, 'wake', 'remote', '--wait', '--timeout', '90s');
    expect(woken).toMatchObject({ exitCode: 0 });
    expect(woken.stdout).toContain(`ordered by system:serviceaccount:${name}:operator`);
    const explained = await cli(environment, 'explain', 'remote');
    expect(explained.stdout).toContain('What each rule asks for');
    expect((await cli(environment, 'queue', 'remote')).stdout).toContain('remote-nightly');
    expect((await cli(environment, 'wake', 'remote', '--for', '0s')).stdout).toBe('');
  });

  describe('says what is wrong', () => {
    test('without the right to patch, a pause is refused with the right that is missing', async () => {
      await namespace().apply(simPool({ name: 'guarded' }));
      const cli = await cliAs('tester-7', ['get', 'list']);
      const { stderr, exitCode } = await cli('pause', 'guarded');
      expect(exitCode).toBe(1);
      expect(stderr).toContain('cannot patch resource "scalepolicies"');
      expect(stderr).toContain('ask for that right');
    });
    test('more replicas than the pool may have are refused before anything is written', async () => {
      await namespace().apply(simPool({ name: 'small', maxReplicas: 2 }));
      const { kubeconfig } = namespace().cluster;
      const argv = ['wake', 'small', '--replicas', '5', '--kubeconfig', kubeconfig, '-n', namespace().name];
      const { stderr, exitCode } = await run(argv);
      expect({ stderr, exitCode }).toEqual({
        stderr: 'pilotlight: --replicas is 5; the targets of the pool allow 2 together (maxReplicas).\n',
        exitCode: 1,
      });
    });
    test('Ctrl-C in the middle of a question is an interruption and not an API server that is away', async () => {
      const { cluster, name } = namespace();
      const interruption = AbortSignal.abort(stoppedBy('SIGINT'));
      for (const command of [['pools'], ['status'], ['doctor'], ['init', '--from', 'deployment/chat']]) {
        const argv = [...command, '--kubeconfig', cluster.kubeconfig, '-n', name];
        const { stderr, exitCode } = await run(argv, { interruption });
        expect({ stderr, exitCode }).toEqual({ stderr: 'pilotlight: stopped by SIGINT\n', exitCode: 130 });
      }
    });
    test('an API server that does not answer is told from a pool that is not there', async () => {
      const { cluster, name } = namespace();
      const lost = await run(['pools', '--kubeconfig', cluster.kubeconfigFor('no token'), '-n', name]);
      expect(lost.exitCode).toBe(1);
      expect(lost.stderr).toContain('log in again');
      const none = await run(['explain', 'smal', '--kubeconfig', cluster.kubeconfig, '-n', name]);
      expect(none.exitCode).toBe(2);
      expect(none.stderr).toContain('did you mean');
    });
  });
});
