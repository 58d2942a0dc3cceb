import type { KubeManagedFields, KubeObject } from '../../core/kubernetes.ts';
import type { WorkloadView } from '../workload/read-workload.ts';

/** What a check found. `change` says what to do; null when all is well. */
export interface Finding {
  /** skip: it could not be looked at. */
  readonly level: 'ok' | 'warn' | 'fail' | 'skip';
  readonly check: string;
  readonly found: string;
  readonly change: string | null;
}

export const ok = (check: string, found: string): Finding => ({ level: 'ok', check, found, change: null });
export const skip = (check: string, found: string): Finding => ({ level: 'skip', check, found, change: null });
export const warn = (check: string, found: string, change: string): Finding => ({
  level: 'warn',
  check,
  found,
  change,
});
export const fail = (check: string, found: string, change: string): Finding => ({
  level: 'fail',
  check,
  found,
  change,
});

/** A part of a ScalePolicy's spec, with its defaults. */
export interface PolicyFacts {
  /** "namespace/name" of the ScalePolicy. */
  readonly policy: string;
  readonly namespace: string;
  readonly mode: string;
  readonly bootTimeoutMs: number;
  readonly drainTimeoutMs: number;
  /** Of its InferencePool, or its own; null = the InferencePool is not there. */
  readonly pool: PoolSelection | null;
  /** Name of the InferencePool that it wants; null = a pool of its own. */
  readonly poolRef: string | null;
  readonly targets: readonly TargetFacts[];
}

export interface PoolSelection {
  readonly matchLabels: Readonly<Record<string, string>>;
  readonly ports: readonly number[];
}

export interface TargetRef {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
}

export interface TargetFacts {
  readonly name: string;
  readonly ref: TargetRef;
  /** Null = not there, or not readable (see `problem`). */
  readonly workload: WorkloadView | null;
  readonly managedFields: readonly KubeManagedFields[];
  /** Whether its /scale answers; null = not asked. */
  readonly hasScale: boolean | null;
  /** Why it could not be read; null = it could. */
  readonly problem: string | null;
}

/** All that `doctor` looked at, before it judges. */
export interface ClusterFacts {
  readonly resources: readonly ResourceFact[];
  readonly policies: readonly PolicyFacts[];
  /** Null = the API server does not know them, or the caller may not list them. */
  readonly autoscalers: readonly KubeObject[] | null;
  readonly scaledObjects: readonly KubeObject[] | null;
  readonly disruptionBudgets: readonly KubeObject[] | null;
  readonly ingresses: readonly KubeObject[] | null;
  readonly routes: readonly KubeObject[] | null;
  readonly rights: readonly RightsFact[];
  readonly gateway: GatewayFacts | null;
}

export interface ResourceFact {
  /** "scalepolicies.pilotlight.dev/v1alpha1" */
  readonly name: string;
  readonly kind: string;
  readonly need: 'required' | 'optional';
  readonly served: boolean;
}

export interface RightsFact {
  /** "ServiceAccount pilotlight/pilotlight-controller", or "you". */
  readonly who: string;
  /** Each "cannot VERB RESOURCE in namespace NAMESPACE". */
  readonly missing: readonly string[];
  /** Why it could not be asked; null = it was. */
  readonly problem: string | null;
}

/** The gateway's own Deployment or StatefulSet. */
export interface GatewayFacts {
  /** "namespace/name" */
  readonly workload: string;
  readonly graceSeconds: number;
  readonly preStopSeconds: number;
  /** Null = its configuration could not be read. */
  readonly maxHoldMs: number | null;
  readonly drainMs: number | null;
  /** Names of the Services that lead to it. */
  readonly services: readonly string[];
}
