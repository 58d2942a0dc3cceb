import { expect, test } from 'vitest';
import { type KubeApi, KubeApiError } from '../../../../src/core/kubernetes.ts';
import { checkAccess } from '../../../../src/platform/kubernetes/access.ts';

interface Review {
  spec: { resourceAttributes: Record<string, string> };
}

const RULES = [
  { group: '', resource: 'pods', verbs: ['list', 'watch', 'patch'], namespace: 'chat' },
  { group: 'apps', resource: 'deployments/scale', verbs: ['get', 'patch'], namespace: 'chat', name: 'llama' },
  { group: 'authentication.k8s.io', resource: 'tokenreviews', verbs: ['create'], namespace: null },
];

test('each verb is asked for as it will be used, and what is missing is named in the order of the rules', async () => {
  const asked: Record<string, string>[] = [];
  let atOnce = 0;
  let mostAtOnce = 0;
  const api: KubeApi = {
    async request({ body }) {
      atOnce += 1;
      mostAtOnce = Math.max(mostAtOnce, atOnce);
      await new Promise((resolve) => setImmediate(resolve));
      atOnce -= 1;
      const { resourceAttributes } = (body as Review).spec;
      asked.push(resourceAttributes);
      return { status: { allowed: resourceAttributes['verb'] !== 'patch' && resourceAttributes['verb'] !== 'create' } };
    },
  };
  const many = { group: '', resource: 'events', verbs: Array.from({ length: 30 }, () => 'get'), namespace: 'chat' };
  const missing = await checkAccess(api, [...RULES, many]);
  expect(missing.map(({ message }) => message)).toEqual([
    'cannot patch pods in namespace chat',
    'cannot patch deployments.apps/scale "llama" in namespace chat',
    'cannot create tokenreviews.authentication.k8s.io in the cluster',
  ]);
  expect(missing[1]).toMatchObject({ verb: 'patch', group: 'apps', resource: 'deployments/scale', name: 'llama' });
  expect(asked).toHaveLength(36);
  expect(asked).toContainEqual({
    ...{
      verb: 'patch',
      group: 'apps',
      resource: 'deployments',
      subresource: 'scale',
      namespace: 'chat',
      name: 'llama',
    },
  });
  expect(mostAtOnce).toBe(8);
});

test('a server that does not answer is an error, never a missing right', async () => {
  const api: KubeApi = { request: () => Promise.reject(new KubeApiError('not reached', { status: 0 })) };
  await expect(checkAccess(api, RULES)).rejects.toThrow('not reached');
});
