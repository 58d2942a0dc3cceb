import type { Container, Pod, PodCondition } from './kubelet/objects.ts';

export interface DeploymentOptions {
  readonly replicas?: number;
  /** Of the pods; "probe-ms": "50" is set unless given. Names without the prefix `test.pilotlight.dev/`. */
  readonly behaviour?: Readonly<Record<string, string>>;
  readonly gpus?: number;
  /** Over the container's fields. */
  readonly container?: Partial<Container>;
  /** Over the pod spec's fields. */
  readonly pod?: object;
}

/** A Deployment of simulated model servers that answer to `name`, with label `app: name`. */
export function simDeployment(name: string, options: DeploymentOptions = {}): object {
  const { replicas = 1, gpus = 0, container = {}, pod = {} } = options;
  const main = {
    name: 'main',
    image: 'pilotlight-model-sim:test',
    args: ['--host', '0.0.0.0', '--model', name],
    ports: [{ name: 'http', containerPort: 8000 }],
    readinessProbe: { httpGet: { path: '/health', port: 'http' } },
    ...(gpus > 0 ? { resources: { limits: { 'nvidia.com/gpu': `${gpus}` } } } : {}),
    ...container,
  };
  const labels = { app: name };
  const metadata = { labels, annotations: behaviourAnnotations({ 'probe-ms': '50', ...options.behaviour }) };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, labels },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: { metadata, spec: { terminationGracePeriodSeconds: 5, containers: [main], ...pod } },
    },
  };
}

export function behaviourAnnotations(
  behaviour: Readonly<Record<string, string | null>>,
): Record<string, string | null> {
  return Object.fromEntries(Object.entries(behaviour).map(([key, value]) => [`test.pilotlight.dev/${key}`, value]));
}

export function isReady(pod: Pod): boolean {
  return conditionOf(pod, 'Ready')?.status === 'True';
}

export function conditionOf({ status }: Pod, type: string): PodCondition | undefined {
  return status?.conditions?.find((each) => each.type === type);
}

/** Why the first container waits; '' when it does not. */
export function waitingReason({ status }: Pod): string {
  return status?.containerStatuses?.[0]?.state.waiting?.reason ?? '';
}
