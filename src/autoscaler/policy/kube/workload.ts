import type { KubeManagedFields, KubeObject } from '../../../core/kubernetes.ts';
import { hashText } from './template-hash.ts';

/** The fields of a scaled object that Pilotlight reads: those of Deployment and StatefulSet; other kinds have some. */
export interface Workload extends KubeObject {
  readonly spec?: {
    readonly replicas?: number;
    readonly template?: unknown;
    readonly updateStrategy?: { readonly type?: string; readonly rollingUpdate?: { readonly partition?: number } };
  };
  readonly status?: {
    readonly replicas?: number;
    readonly readyReplicas?: number;
    readonly updatedReplicas?: number;
    readonly currentRevision?: string;
    readonly updateRevision?: string;
    readonly conditions?: readonly WorkloadCondition[];
  };
}

export interface WorkloadCondition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
}

/** What GET …/scale answers (autoscaling/v1). */
export interface Scale extends KubeObject {
  /** An empty spec is zero. */
  readonly spec?: { readonly replicas?: number };
  readonly status?: { readonly replicas?: number; readonly selector?: string };
}

export interface ReplicaSet extends KubeObject {
  readonly status?: { readonly conditions?: readonly WorkloadCondition[] };
}

/** One scaled object as it was last read. */
export interface WorkloadView {
  readonly uid: string;
  readonly resourceVersion: string;
  readonly replicas: number;
  /** `status.selector` of its /scale; null when it was not read there. */
  readonly selector: string | null;
  readonly templateHash: string;
  /** Why nothing may be taken away during its roll-out; null = it does not roll. */
  readonly rolling: string | null;
  readonly rollsItself: boolean;
  /** What keeps pods from being created (quota, admission), as its controller said; null = nothing. */
  readonly createFailure: string | null;
  readonly managedFields: readonly KubeManagedFields[];
  /** It is being deleted. */
  readonly terminating: boolean;
}

const REVISION = 'deployment.kubernetes.io/revision';

/**
 * Joins what was read of one object. `scale` is needed for kinds that are neither Deployment, ReplicaSet nor
 * StatefulSet; `replicaSets` are those of a Deployment.
 */
export function workloadView(
  kind: string,
  workload: Workload,
  scale: Scale | null,
  replicaSets: readonly ReplicaSet[],
): WorkloadView {
  const { metadata } = workload;
  const owned = replicaSets.filter(({ metadata: { ownerReferences = [] } }) =>
    ownerReferences.some(({ uid }) => uid === metadata.uid),
  );
  return {
    uid: metadata.uid ?? '',
    resourceVersion: scale?.metadata.resourceVersion ?? metadata.resourceVersion ?? '',
    // Absent in a Deployment means 1; in a /scale it means 0.
    replicas: scale === null ? (workload.spec?.replicas ?? 1) : (scale.spec?.replicas ?? 0),
    selector: scale?.status?.selector ?? null,
    templateHash: templateHashOf(kind, workload, owned),
    rolling: rollingWhy(kind, workload),
    rollsItself: rollsItself(kind, workload),
    createFailure: createFailure([workload, newestOf(owned)]),
    managedFields: metadata.managedFields ?? [],
    terminating: metadata.deletionTimestamp !== undefined,
  };
}

/**
 * Names what its replicas run: the newest ReplicaSet's pod-template-hash, a StatefulSet's update revision, for other
 * kinds a hash of the spec without its replicas. A scale patch changes none of them.
 */
function templateHashOf(kind: string, workload: Workload, replicaSets: readonly ReplicaSet[]): string {
  if (kind === 'Deployment') {
    const hash = newestOf(replicaSets)?.metadata.labels?.['pod-template-hash'];
    if (hash !== undefined) return hash;
  }
  if (kind === 'StatefulSet' && workload.status?.updateRevision) return workload.status.updateRevision;
  const { replicas: _, ...rest } = workload.spec ?? {};
  return `spec-${hashText(JSON.stringify(rest))}`;
}

/** Labels in which a controller tells each pod of its revision, by the kind of workload. */
export function podTemplateHash(kind: string, labels: Readonly<Record<string, string>> | undefined): string | null {
  if (kind === 'Deployment') return labels?.['pod-template-hash'] ?? null;
  return kind === 'StatefulSet' ? (labels?.['controller-revision-hash'] ?? null) : null;
}

function newestOf(replicaSets: readonly ReplicaSet[]): ReplicaSet | undefined {
  const revision = ({ metadata }: ReplicaSet): number => Number(metadata.annotations?.[REVISION] ?? 0);
  return [...replicaSets].sort((a, b) => revision(b) - revision(a))[0];
}

function rollingWhy(kind: string, { spec, status }: Workload): string | null {
  const { replicas = 0, updatedReplicas = 0 } = status ?? {};
  const outdated = replicas - updatedReplicas;
  const isPartial = (spec?.updateStrategy?.rollingUpdate?.partition ?? 0) > 0;
  if (kind === 'StatefulSet' && (isPartial || spec?.updateStrategy?.type === 'OnDelete')) return null;
  if (kind !== 'Deployment' && kind !== 'StatefulSet') return null;
  if (outdated <= 0) return null;
  return `a roll-out is under way: ${outdated} of ${replicas} replicas still run the older template`;
}

function rollsItself(kind: string, { spec }: Workload): boolean {
  if (kind !== 'StatefulSet') return true;
  return spec?.updateStrategy?.type !== 'OnDelete' && (spec?.updateStrategy?.rollingUpdate?.partition ?? 0) === 0;
}

function createFailure(objects: readonly (Workload | ReplicaSet | undefined)[]): string | null {
  const failures = objects
    .flatMap((object) => object?.status?.conditions ?? [])
    .filter(({ type, status }) => type === 'ReplicaFailure' && status === 'True');
  return failures[0] === undefined ? null : (failures[0].message ?? failures[0].reason ?? 'pods cannot be created');
}
