import type { ClusterFiles } from './cluster.ts';

const HOST = '127.0.0.1';

/** What the tests need of the controller manager; the job and node controllers, for instance, are left out. */
export const DEFAULT_CONTROLLERS: readonly string[] = [
  'deployment-controller',
  'replicaset-controller',
  'statefulset-controller',
  'garbage-collector-controller',
  'resourcequota-controller',
  'disruption-controller',
  'horizontal-pod-autoscaler-controller',
  'namespace-controller',
  'serviceaccount-controller',
  'root-ca-certificate-publisher-controller',
];

/** Data survives a kill of the process, not of the machine: nothing is flushed to the disk. */
export function etcdArgs({ data, client, peer }: { data: string; client: number; peer: number }): string[] {
  const clientUrl = `http://${HOST}:${client}`;
  const peerUrl = `http://${HOST}:${peer}`;
  return [
    ...['--data-dir', data, '--unsafe-no-fsync', '--log-level', 'warn'],
    ...['--listen-client-urls', clientUrl, '--advertise-client-urls', clientUrl],
    ...[
      '--listen-peer-urls',
      peerUrl,
      '--initial-advertise-peer-urls',
      peerUrl,
      '--initial-cluster',
      `default=${peerUrl}`,
    ],
  ];
}

export function apiServerArgs({
  files,
  etcdPort,
  port,
}: {
  files: ClusterFiles;
  etcdPort: number;
  port: number;
}): string[] {
  return [
    ...['--etcd-servers', `http://${HOST}:${etcdPort}`],
    ...['--cert-dir', files.certificates],
    ...['--secure-port', `${port}`, '--bind-address', HOST, '--advertise-address', HOST],
    // Endpoints refuse loopback addresses, so the server's own cannot be published.
    '--endpoint-reconciler-type=none',
    ...['--service-account-key-file', files.serviceAccountKey],
    ...['--service-account-signing-key-file', files.serviceAccountKey],
    ...['--service-account-issuer', 'https://kubernetes.default.svc'],
    ...['--service-cluster-ip-range', '10.0.0.0/24'],
    ...['--token-auth-file', files.tokens, '--authorization-mode', 'RBAC'],
    // Gives each namespace nodes of its own: see nodes.ts.
    '--enable-admission-plugins=PodNodeSelector',
    '--profiling=false',
  ];
}

/** Limits of requests per second are lifted: they are made for fleets, and a test would wait for them. */
const UNTHROTTLED = ['--kube-api-qps=1000', '--kube-api-burst=2000'];

export function controllerManagerArgs({
  files,
  controllers,
}: {
  files: ClusterFiles;
  controllers: readonly string[];
}): string[] {
  return [
    ...['--kubeconfig', files.kubeconfig, '--leader-elect=false', '--secure-port=0'],
    ...['--root-ca-file', files.certificate],
    ...['--service-account-private-key-file', files.serviceAccountKey],
    `--controllers=${controllers.join(',')}`,
    '--horizontal-pod-autoscaler-sync-period=1s',
    ...UNTHROTTLED,
  ];
}

export function schedulerArgs({ files }: { files: ClusterFiles }): string[] {
  return ['--kubeconfig', files.kubeconfig, '--leader-elect=false', '--secure-port=0', ...UNTHROTTLED];
}
