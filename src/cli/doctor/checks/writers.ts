import type { KubeManagedFields, KubeObject } from '../../../core/kubernetes.ts';
import { type ClusterFacts, type Finding, fail, ok, type PolicyFacts, skip, type TargetFacts, warn } from '../facts.ts';

const CHECK = 'writers';

type Around = Pick<ClusterFacts, 'autoscalers' | 'scaledObjects' | 'policies'>;

/** Whether anything else sets the replicas of a target. */
export function checkWriters(facts: Around, policy: PolicyFacts, target: TargetFacts): readonly Finding[] {
  return [autoscalers(facts, policy, target), twins(facts, policy, target), gitOps(target)];
}

interface ScalerSpec {
  readonly scaleTargetRef?: { readonly apiVersion?: string; readonly kind?: string; readonly name?: string };
}

function autoscalers(
  { autoscalers: hpas, scaledObjects }: Around,
  { mode }: PolicyFacts,
  { ref }: TargetFacts,
): Finding {
  if (hpas === null) return skip(CHECK, 'HorizontalPodAutoscalers could not be listed');
  const scales = ({ spec }: KubeObject): boolean => {
    const scaled = (spec as ScalerSpec | undefined)?.scaleTargetRef;
    return scaled?.name === ref.name && (scaled.kind ?? 'Deployment') === ref.kind;
  };
  const rivals = [
    ...hpas.filter(scales).map(({ metadata }) => `HorizontalPodAutoscaler ${metadata.name}`),
    ...(scaledObjects ?? []).filter(scales).map(({ metadata }) => `ScaledObject ${metadata.name}`),
  ];
  if (rivals.length === 0) return ok(CHECK, `nothing else scales ${ref.kind} ${ref.name}`);
  const found = `${rivals.join(' and ')} scales ${ref.kind} ${ref.name}, too: Pilotlight leaves it alone as long as that is so`;
  if (mode === 'Observe') return warn(CHECK, found, `delete ${rivals.join(' and ')} before you set mode: Native`);
  return fail(CHECK, found, `delete ${rivals.join(' and ')}, or set mode: Observe`);
}

function twins({ policies }: Around, { policy }: PolicyFacts, { ref }: TargetFacts): Finding {
  const same = (other: TargetFacts): boolean => other.ref.kind === ref.kind && other.ref.name === ref.name;
  const others = policies.filter((other) => other.policy !== policy && other.targets.some(same));
  if (others.length === 0) return ok(CHECK, `one ScalePolicy has ${ref.kind} ${ref.name}`);
  const names = others.map((other) => other.policy).join(', ');
  const found = `${ref.kind} ${ref.name} is a target of ${names}, too: the older policy has it, the other has no effect`;
  return fail(CHECK, found, 'give each policy a workload of its own');
}

/** Tools that put back what they did not write, and where to tell them to leave replicas alone. */
const TOOLS: readonly (readonly [RegExp, string])[] = [
  [
    /^argocd/,
    'ignoreDifferences of /spec/replicas in the Application, with RespectIgnoreDifferences=true (examples/kubernetes/argocd.yaml)',
  ],
  [
    /^(kustomize|helm)-controller$|^flux/,
    'remove spec.replicas from what Flux applies (examples/kubernetes/flux.yaml)',
  ],
  [/^helm$/i, 'remove replicas from the chart, or set it to null in the values'],
  [/^(terraform|hashicorp|pulumi)/i, 'ignore changes of spec.replicas there'],
];

function gitOps({ managedFields, ref }: TargetFacts): Finding {
  const owners = managedFields.filter(ownsReplicas).map(({ manager = 'unknown' }) => manager);
  for (const owner of owners) {
    const remedy = TOOLS.find(([pattern]) => pattern.test(owner))?.[1];
    if (remedy === undefined) continue;
    return warn(CHECK, `${owner} sets spec.replicas of ${ref.kind} ${ref.name} and would revert every scale`, remedy);
  }
  const applied = managedFields.some(
    (entry) => ownsReplicas(entry) && entry.operation === 'Apply' && entry.subresource !== 'scale',
  );
  const note = applied ? '; whoever applies it again sets them back: leave `replicas` out of the file' : '';
  return ok(CHECK, `no GitOps tool sets replicas of ${ref.kind} ${ref.name}${note}`);
}

function ownsReplicas({ fieldsV1 }: KubeManagedFields): boolean {
  const spec = fieldsV1?.['f:spec'];
  return typeof spec === 'object' && spec !== null && 'f:replicas' in spec;
}
