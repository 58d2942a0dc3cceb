/** A pool in a namespace of the control plane: a Deployment and the ScalePolicy that scales it. */
export interface ClusterPool {
  readonly name: string;
  readonly minReplicas: number;
  readonly maxReplicas: number;
  /** Where its pods listen. */
  readonly port: number;
  /** More of its pod spec. */
  readonly pod?: object;
}

export function poolObjects({ name, minReplicas, maxReplicas, port, pod = {} }: ClusterPool): object[] {
  const labels = { app: name };
  return [
    deployment(name, minReplicas, pod),
    {
      apiVersion: 'pilotlight.dev/v1alpha1',
      kind: 'ScalePolicy',
      metadata: { name },
      spec: {
        pool: { selector: { matchLabels: labels }, targetPorts: [{ number: port }] },
        models: [{ name }],
        targets: [
          {
            name: 'gpu',
            scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name },
            minReplicas,
            maxReplicas,
            slotsPerEndpoint: 8,
          },
        ],
        keepWarm: { duration: '1s' },
        drain: { after: '1s', timeout: '5s' },
        boot: { expectedDuration: '10s', timeout: '5m' },
      },
    },
  ];
}

export function deployment(name: string, replicas: number, pod: object = {}): object {
  const labels = { app: name };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { automountServiceAccountToken: false, containers: [{ name: 'engine', image: 'engine:bench' }], ...pod },
      },
    },
  };
}
