import type { ScaleTarget } from '../../core/objects.ts';
import type { SourceObject } from './parse-objects.ts';
import { type Reporter, whichOf } from './report.ts';

type Policy = SourceObject<'ScalePolicy'>;

/** Which policy scales which workload; filled from the older policies to the newer ones. */
export type TargetClaims = Map<string, Policy>;

/** The targets that a policy may scale: a workload that an older policy has stays there, and this one is `Conflicted`. */
export function claimTargets(
  policy: Policy,
  targets: readonly ScaleTarget[],
  claims: TargetClaims,
  report: Reporter,
): ScaleTarget[] {
  return targets.filter(({ scaleTargetRef }, index) => {
    if (!scaleTargetRef) return true;
    const { apiVersion, kind, name } = scaleTargetRef;
    // Any version of a group shows the same object.
    const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
    const workload = `${policy.namespace} ${group} ${kind} ${name}`;
    const owner = claims.get(workload);
    if (owner === undefined) {
      claims.set(workload, policy);
      return true;
    }
    const at = ['spec', 'targets', index, 'scaleTargetRef'];
    if (owner === policy) report.error(policy, at, `${kind} "${name}" is another target of this policy; remove one`);
    else {
      const why = `${kind} "${name}" is already scaled by ${whichOf(owner)}, which keeps it; name another workload`;
      report.warn(policy, at, why, 'Conflicted');
    }
    return false;
  });
}
