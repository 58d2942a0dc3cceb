import { expect, test } from 'vitest';
import type { FeedFreshness } from '../../../src/core/kubernetes.ts';
import { endpointKnowledge } from '../../../src/roles/cluster/gateway-scaling.ts';

function openPods(state: FeedFreshness['state'], count: number) {
  const pods = {
    state,
    count,
    freshness: (): FeedFreshness => ({ state: pods.state, heardAtEpochMs: null, why: null }),
    all: () => Array.from({ length: pods.count }, () => ({ pod: { metadata: { name: 'a' } }, pools: [] })),
  };
  return pods;
}

test('before the first list nothing is known; what was known once is old, and never nothing again', () => {
  const pods = openPods('syncing', 0);
  const knowledge = endpointKnowledge(pods);
  expect(knowledge()).toBe('none');
  pods.state = 'live';
  expect(knowledge()).toBe('live');
  pods.state = 'stale';
  expect(knowledge()).toBe('old');
  pods.state = 'syncing';
  expect(knowledge()).toBe('old');
});

test('pods of one namespace are known although another one may not be read', () => {
  const pods = openPods('syncing', 1);
  const knowledge = endpointKnowledge(pods);
  expect(knowledge()).toBe('old');
  pods.count = 0;
  expect(knowledge()).toBe('old');
});
