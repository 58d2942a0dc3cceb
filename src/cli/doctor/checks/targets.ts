import { type Finding, fail, ok, type PolicyFacts, skip, type TargetFacts, warn } from '../facts.ts';

const CHECK = 'target';

/** Whether a target is there and can be scaled, and whether its pods are the pool's. */
export function checkTarget(policy: PolicyFacts, target: TargetFacts): readonly Finding[] {
  const { ref, workload, hasScale, problem } = target;
  const name = `${ref.kind} ${policy.namespace}/${ref.name}`;
  if (problem !== null) return [skip(CHECK, `${name} could not be read: ${problem}`)];
  if (workload === null) {
    return [fail(CHECK, `${name} does not exist`, 'create it, or correct scaleTargetRef of the ScalePolicy')];
  }
  if (hasScale === false) {
    const change = 'use a Deployment, a StatefulSet, or a kind whose CRD has subresources.scale';
    return [fail(CHECK, `${name} has no /scale subresource`, change)];
  }
  return [ok(CHECK, `${name} is there and can be scaled`), ...checkPool(policy, target)];
}

function checkPool({ pool, poolRef, policy }: PolicyFacts, { workload }: TargetFacts): readonly Finding[] {
  if (workload === null) return [];
  if (pool === null) {
    const found = `ScalePolicy ${policy} wants InferencePool ${poolRef ?? ''}, which does not exist`;
    return [fail('pool', found, 'create it, correct poolRef, or use spec.pool with selector and targetPorts')];
  }
  const { labels, name, ports, port } = workload;
  const wanted = Object.entries(pool.matchLabels);
  const missing = wanted.filter(([label, value]) => labels[label] !== value);
  const findings: Finding[] = [];
  if (wanted.length === 0 || missing.length > 0) {
    const list = missing.map(([label, value]) => `${label}=${value}`).join(', ') || 'anything at all';
    const found = `the pool's selector wants ${list}, which the pods of ${name} do not have: they would boot and never serve`;
    findings.push(fail('pool', found, `add the labels to the pod template of ${name}, or correct the selector`));
  } else findings.push(ok('pool', `the pool's selector finds the pods of ${name}`));
  const known = new Set([...ports, ...(port === null ? [] : [port])]);
  const unknown = pool.ports.filter((number) => !known.has(number));
  if (known.size === 0) {
    findings.push(skip('pool', `${name} tells no port; the pool's is ${pool.ports.join(', ')}`));
  } else if (unknown.length > 0) {
    const found = `the pool's port ${unknown.join(', ')} is none of ${name} (${[...known].join(', ')})`;
    findings.push(warn('pool', found, `targetPorts: ${[...known].map((number) => `{number: ${number}}`).join(', ')}`));
  } else findings.push(ok('pool', `${name} listens on the pool's port ${pool.ports.join(', ')}`));
  return findings;
}
