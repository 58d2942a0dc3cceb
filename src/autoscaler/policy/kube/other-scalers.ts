import type { KubeObject } from '../../../core/kubernetes.ts';

/** The fields of a HorizontalPodAutoscaler (autoscaling/v2) or a ScaledObject (keda.sh/v1alpha1) that Pilotlight reads. */
export interface OtherScaler extends KubeObject {
  readonly spec?: {
    readonly scaleTargetRef?: { readonly apiVersion?: string; readonly kind?: string; readonly name?: string };
  };
}

/** Names what else scales that workload, with the remedy; null = nothing does. `kind` names what `scalers` are. */
export function otherScaler(
  kind: string,
  scalers: readonly OtherScaler[],
  namespace: string,
  ref: { readonly apiVersion: string; readonly kind: string; readonly name: string },
): string | null {
  const group = groupOf(ref.apiVersion);
  const other = scalers.find(({ metadata, spec }) => {
    const scaled = spec?.scaleTargetRef;
    // KEDA takes a Deployment when nothing else is said.
    const scaledGroup = scaled?.apiVersion === undefined ? group : groupOf(scaled.apiVersion);
    return (
      (metadata.namespace ?? 'default') === namespace &&
      scaled?.name === ref.name &&
      (scaled.kind ?? 'Deployment') === ref.kind &&
      scaledGroup === group
    );
  });
  if (other === undefined) return null;
  return `${kind} ${other.metadata.name} scales ${ref.kind} ${ref.name} too; delete it, or set mode: Observe in the policy`;
}

function groupOf(apiVersion: string): string {
  return apiVersion.includes('/') ? (apiVersion.split('/')[0] ?? '') : '';
}
