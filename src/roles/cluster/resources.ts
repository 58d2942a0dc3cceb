import type { KubeResource } from '../../core/kubernetes.ts';

type Candidates = readonly [KubeResource, ...KubeResource[]];

const GIE = 'inference.networking.k8s.io';
const ROUTER_GROUPS = ['llm-d.ai', 'inference.networking.x-k8s.io'] as const;

function ofRouter(plural: string, kind: string): Candidates {
  const [first, second] = ROUTER_GROUPS;
  const of = (group: string): KubeResource => ({ group, version: 'v1alpha2', plural, kind });
  return [of(first), of(second)];
}

/** What is followed. Of two groups for one kind the first that is installed counts. */
export const RESOURCES = {
  pods: { group: '', version: 'v1', plural: 'pods', kind: 'Pod' },
  scalePolicies: { group: 'pilotlight.dev', version: 'v1alpha1', plural: 'scalepolicies', kind: 'ScalePolicy' },
  objectivePolicies: {
    group: 'pilotlight.dev',
    version: 'v1alpha1',
    plural: 'objectivepolicies',
    kind: 'ObjectivePolicy',
  },
  pools: { group: GIE, version: 'v1', plural: 'inferencepools', kind: 'InferencePool' },
  objectives: ofRouter('inferenceobjectives', 'InferenceObjective'),
  events: { group: '', version: 'v1', plural: 'events', kind: 'Event' },
  horizontalPodAutoscalers: {
    group: 'autoscaling',
    version: 'v2',
    plural: 'horizontalpodautoscalers',
    kind: 'HorizontalPodAutoscaler',
  },
  scaledObjects: { group: 'keda.sh', version: 'v1alpha1', plural: 'scaledobjects', kind: 'ScaledObject' },
  rewrites: ofRouter('inferencemodelrewrites', 'InferenceModelRewrite'),
} as const;
