import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { takeFreePort } from '../../../src/autoscaler/adapters/process-target/free-port.ts';
import type { Cluster } from './cluster.ts';
import { Component } from './component.ts';
import { eventually } from './eventually.ts';
import { addNode } from './nodes.ts';

export interface KwokOptions {
  /** Of the program; see findTool('kwok'). */
  readonly program: string;
  readonly nodes: number;
  readonly gpusPerNode?: number;
  /** Of the pods' addresses; nothing answers there unless they are loopback. Default "10.64.0.0/10". */
  readonly podCidr?: string;
}

/** Nodes of these names belong to KWOK, not to the kubelet stand-in. */
export const isKwokNode = (name: string): boolean => name.startsWith('kwok-');

/** Pods of one of our nodes cannot be more. */
const PODS_PER_NODE = 110;
const HOST = '127.0.0.1';

/**
 * How KWOK plays a pod: running and ready as soon as it is bound, gone as soon as it is deleted. Written for the tests:
 * only what Pilotlight reads.
 */
const STAGES = `
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
# Without a stage for nodes it takes no node for its own.
metadata: { name: node-known }
spec:
  resourceRef: { apiGroup: v1, kind: Node }
  selector:
    matchExpressions:
      - { key: .status.phase, operator: NotIn, values: [Running] }
  next:
    statusTemplate: |
      phase: Running
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: { name: pod-ready }
spec:
  resourceRef: { apiGroup: v1, kind: Pod }
  selector:
    matchExpressions:
      - { key: .metadata.deletionTimestamp, operator: DoesNotExist }
      - { key: .status.podIP, operator: DoesNotExist }
  next:
    statusTemplate: |
      {{ $now := Now }}
      phase: Running
      startTime: {{ $now | Quote }}
      hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
      podIP: {{ PodIPWith .spec.nodeName ( or .spec.hostNetwork false ) ( or .metadata.uid "" ) ( or .metadata.name "" ) ( or .metadata.namespace "" ) | Quote }}
      conditions:
      {{ range (list "PodReadyToStartContainers" "Initialized" "ContainersReady" "Ready") }}
      - { type: {{ . }}, status: "True", lastTransitionTime: {{ $now | Quote }} }
      {{ end }}
      containerStatuses:
      {{ range .spec.containers }}
      - name: {{ .name | Quote }}
        image: {{ .image | Quote }}
        imageID: ""
        ready: true
        started: true
        restartCount: 0
        state: { running: { startedAt: {{ $now | Quote }} } }
      {{ end }}
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: { name: pod-delete }
spec:
  resourceRef: { apiGroup: v1, kind: Pod }
  selector:
    matchExpressions:
      - { key: .metadata.deletionTimestamp, operator: Exists }
  next:
    delete: true
`;

/**
 * Adds nodes whose pods are ready at once without any process: for thousands of pods. Nodes are named kwok-0 and so on and
 * tainted, so that only pods come that tolerate `kwok.x-k8s.io/node`. Ends when the cluster is closed.
 */
export async function startKwok(cluster: Cluster, options: KwokOptions): Promise<void> {
  const { folder } = cluster.handle;
  const config = join(folder, 'kwok.yaml');
  await writeFile(config, STAGES);
  const port = await takeFreePort(HOST, new Set());
  const kwok = new Component(
    'kwok',
    options.program,
    [
      ...['--kubeconfig', cluster.kubeconfig, '--config', config, '--node-ip', HOST],
      ...['--cidr', options.podCidr ?? '10.64.0.0/10'],
      ...['--manage-all-nodes=false', '--manage-nodes-with-label-selector', 'type=kwok'],
      ...['--node-lease-duration-seconds', '0', '--server-address', `${HOST}:${port}`],
    ],
    folder,
  );
  cluster.onClose(() => kwok.kill());
  await kwok.start();
  await eventually(async () => {
    if (!kwok.running) throw new Error(`kwok ended:\n${await kwok.logTail()}`);
    return fetch(`http://${HOST}:${port}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
  }, 'kwok is ready');
  for (let node = 0; node < options.nodes; node += 1) {
    await addNode(cluster, {
      name: `kwok-${node}`,
      gpus: options.gpusPerNode ?? PODS_PER_NODE,
      cpu: PODS_PER_NODE * 4,
      memory: '4Ti',
      pods: PODS_PER_NODE,
      labels: { type: 'kwok' },
      taints: [{ key: 'kwok.x-k8s.io/node', value: 'fake', effect: 'NoSchedule' }],
    });
  }
}

/** What a pod spec needs to come to KWOK's nodes and nowhere else. */
export const ON_KWOK = {
  nodeSelector: { type: 'kwok' },
  tolerations: [{ key: 'kwok.x-k8s.io/node', operator: 'Exists' }],
} as const;
