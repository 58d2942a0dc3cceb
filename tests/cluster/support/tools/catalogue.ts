import { arch, platform } from 'node:process';

export type ToolName =
  | 'etcd'
  | 'kube-apiserver'
  | 'kube-controller-manager'
  | 'kube-scheduler'
  | 'kubectl'
  | 'helm'
  | 'kwok';

/** An official release: one file, or one member of a .tar.gz. The checksum is the file that is published beside it. */
export interface Release {
  readonly url: string;
  readonly checksumUrl: string;
  /** Path inside the archive; absent: the file is the program. */
  readonly member?: string;
}

/** How Go makes it: in a module of binaries/ whose go.sum fixes every source, or by package name and version. */
export type GoBuild =
  | { readonly kind: 'module'; readonly folder: string; readonly package: string; readonly ldflags?: string }
  | { readonly kind: 'install'; readonly package: string };

export interface ToolSpec {
  readonly version: string;
  /** Names the folder of the cache, together with version and platform. */
  readonly product: string;
  /** Prints the version as the first "N.N" of its output. */
  readonly versionArgs: readonly string[];
  /** What a program of the PATH must be at least; older ones are passed over. */
  readonly minimum: readonly [major: number, minor: number];
  readonly release: Release | null;
  readonly build: GoBuild | null;
}

const KUBERNETES = '1.35.4';
const ETCD = '3.7.3';
const HELM = '3.22.0';
const KWOK = '0.8.0';
const goArch = arch === 'x64' ? 'amd64' : arch;
const target = `${platform}-${goArch}`;

export const TOOLS: Readonly<Record<ToolName, ToolSpec>> = {
  etcd: {
    version: ETCD,
    product: 'etcd',
    versionArgs: ['--version'],
    // Kubernetes 1.35 is released with etcd 3.6; older than 3.5 lacks what its watch cache asks for.
    minimum: [3, 5],
    release: {
      url: `https://github.com/etcd-io/etcd/releases/download/v${ETCD}/etcd-v${ETCD}-${target}.tar.gz`,
      checksumUrl: `https://github.com/etcd-io/etcd/releases/download/v${ETCD}/SHA256SUMS`,
      member: `etcd-v${ETCD}-${target}/etcd`,
    },
    build: { kind: 'module', folder: 'etcd', package: 'go.etcd.io/etcd/server/v3' },
  },
  'kube-apiserver': kubernetes('kube-apiserver', [1, 33]),
  'kube-controller-manager': kubernetes('kube-controller-manager', [1, 33]),
  'kube-scheduler': kubernetes('kube-scheduler', [1, 33]),
  kubectl: { ...kubernetes('kubectl', [1, 28]), versionArgs: ['version', '--client'], build: null },
  helm: {
    version: HELM,
    product: 'helm',
    versionArgs: ['version', '--short'],
    minimum: [3, 14],
    release: {
      url: `https://get.helm.sh/helm-v${HELM}-${target}.tar.gz`,
      checksumUrl: `https://get.helm.sh/helm-v${HELM}-${target}.tar.gz.sha256sum`,
      member: `${target}/helm`,
    },
    build: { kind: 'install', package: `helm.sh/helm/v3/cmd/helm@v${HELM}` },
  },
  kwok: {
    version: KWOK,
    product: 'kwok',
    versionArgs: ['--version'],
    minimum: [0, 7],
    release: null,
    build: { kind: 'install', package: `sigs.k8s.io/kwok/cmd/kwok@v${KWOK}` },
  },
};

function kubernetes(program: string, minimum: readonly [number, number]): ToolSpec {
  const url = `https://dl.k8s.io/v${KUBERNETES}/bin/${platform}/${goArch}/${program}`;
  const stamp = `-X k8s.io/component-base/version.gitVersion=v${KUBERNETES}`;
  return {
    version: KUBERNETES,
    product: 'kubernetes',
    versionArgs: ['--version'],
    minimum,
    // The control plane is published for Linux only.
    release: platform === 'linux' || program === 'kubectl' ? { url, checksumUrl: `${url}.sha256` } : null,
    build: { kind: 'module', folder: 'kubernetes', package: `k8s.io/kubernetes/cmd/${program}`, ldflags: stamp },
  };
}

/** "kubernetes-1.35.4-linux-x64": one folder of a cache for each product, version and platform. */
export function cacheFolderName({ product, version }: ToolSpec): string {
  return `${product}-${version}-${platform}-${arch}`;
}
