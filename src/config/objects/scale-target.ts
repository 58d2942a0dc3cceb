import { dirname, resolve } from 'node:path';
import type { ProcessTarget, ScaleTarget } from '../../core/objects.ts';
import type { FileProbe } from './file-probe.ts';
import type { SourceObject } from './parse-objects.ts';
import type { Reporter } from './report.ts';
import type { Surroundings } from './surroundings.ts';

type Policy = SourceObject<'ScalePolicy'>;
type WrittenTarget = Policy['spec']['targets'][number];

/** Targets of a policy as the autoscaler takes them; what contradicts itself is reported. */
export function compileTargets(
  policy: Policy,
  surroundings: Pick<Surroundings, 'kubernetes' | 'probe'>,
  report: Reporter,
): ScaleTarget[] {
  const { targets, onDelete } = policy.spec;
  if (targets.length === 0) {
    report.warn(
      policy,
      ['spec'],
      'no targets: the pool is listed but cannot wake; add one to spec.targets',
      'NotReady',
    );
  }
  if (onDelete !== 'Keep' && targets.some((target) => target.process)) {
    const why = 'is about workloads in Kubernetes; local processes always end with their policy: remove it';
    report.error(policy, ['spec', 'onDelete'], why);
  }
  return targets.map((target, index) => {
    const at = ['spec', 'targets', index];
    const first = targets.findIndex((other) => other.name === target.name);
    if (first !== index) {
      report.error(policy, [...at, 'name'], `"${target.name}" is already targets[${first}]; give each its own name`);
    }
    if (target.minReplicas > target.maxReplicas) {
      const why = `${target.minReplicas} is more than maxReplicas ${target.maxReplicas}; lower it or raise maxReplicas`;
      report.error(policy, [...at, 'minReplicas'], why);
    }
    checkMeans(policy, target, surroundings.kubernetes, at, report);
    if (target.process && !surroundings.kubernetes) {
      checkProcess(policy, target.process, [...at, 'process'], surroundings.probe, report);
    }
    return scaleTarget(target, policy.document.file);
  });
}

function checkMeans(
  policy: Policy,
  target: WrittenTarget,
  kubernetes: boolean,
  at: readonly PropertyKey[],
  report: Reporter,
): void {
  const { process, scaleTargetRef } = target;
  if (process && scaleTargetRef) report.error(policy, at, 'has both process and scaleTargetRef; keep one of them');
  if (!process && !scaleTargetRef) report.error(policy, at, 'has neither process nor scaleTargetRef; add one of them');
  if (process && kubernetes) {
    const why = 'starts commands on this machine, which nothing does where kubernetes.enabled; use scaleTargetRef';
    report.error(policy, [...at, 'process'], why);
  }
  if (scaleTargetRef && !process && !kubernetes) {
    const why = 'needs an API server (kubernetes.enabled): this target cannot start anything; use process';
    report.warn(policy, [...at, 'scaleTargetRef'], why, 'NotReady');
  }
}

function checkProcess(
  policy: Policy,
  { command, env, workingDir }: NonNullable<WrittenTarget['process']>,
  at: readonly PropertyKey[],
  probe: FileProbe,
  report: Reporter,
): void {
  const [program = ''] = command;
  if (![...command, ...env.map((variable) => variable.value)].some((text) => text.includes('{port}'))) {
    const why =
      'does not contain "{port}", so the replica would not listen where Pilotlight asks; add it, e.g. --port {port}';
    report.error(policy, [...at, 'command'], why);
  }
  const folder = workingDir === undefined ? process.cwd() : absolute(workingDir, policy.document.file);
  if (workingDir !== undefined && !probe.isFolder(folder)) {
    report.warn(
      policy,
      [...at, 'workingDir'],
      `"${folder}" is not a folder; create it or correct the path`,
      'NotReady',
    );
  } else if (program !== 'pilotlight' && !probe.isCommand(program, folder)) {
    const why = `"${program}" is not a program on the PATH; install it or write its full path`;
    report.warn(policy, [...at, 'command', 0], why, 'NotReady');
  }
}

function scaleTarget(target: WrittenTarget, file: string): ScaleTarget {
  const { process, scaleTargetRef, ...rest } = target;
  return {
    ...rest,
    ...(process ? { process: processTarget(process, file) } : {}),
    ...(scaleTargetRef ? { scaleTargetRef } : {}),
  };
}

function processTarget(written: NonNullable<WrittenTarget['process']>, file: string): ProcessTarget {
  return {
    command: written.command,
    env: Object.fromEntries(written.env.map(({ name, value }) => [name, value])),
    ...(written.workingDir === undefined ? {} : { workingDir: absolute(written.workingDir, file) }),
    readinessPath: written.readiness.path,
    readinessEveryMs: written.readiness.every,
  };
}

function absolute(path: string, file: string): string {
  return resolve(dirname(file), path);
}
