import type { KubeObject } from '../../../../src/core/kubernetes.ts';

const PREFIX = 'test.pilotlight.dev/';

/** What a test's annotations ask of one pod; README.md has the table. Read anew at each step: they may change while it runs. */
export interface Behaviour {
  readonly sandboxMs: number;
  readonly pullMs: number;
  readonly createMs: number;
  readonly terminateMs: number;
  /** Text of the registry's refusal; null = the pull succeeds. */
  readonly pullError: string | null;
  readonly hang: 'creating' | 'pulling' | null;
  /** Message of the FailedMount event; null = volumes mount. */
  readonly mountError: string | null;
  /** Message of the kubelet's refusal; null = admitted. */
  readonly admissionError: string | null;
  /** After a container started; null = it is left alone. */
  readonly crashAfterMs: number | null;
  readonly crashExitCode: number;
  readonly crashReason: 'Error' | 'OOMKilled';
  /** How many starts crash. */
  readonly crashTimes: number;
  readonly backoffMs: number | null;
  readonly pullBackoffMs: number | null;
  readonly probeMs: number | null;
  readonly readiness: 'probed' | 'failing';
  /** The address that the status tells; null = the real one. */
  readonly podIp: string | null;
  /** Reason of the condition DisruptionTarget; null = none. */
  readonly disruptionTarget: string | null;
}

/** Throws on an annotation of ours that is unknown or malformed: a test that misspells one tests something else. */
export function behaviourOf(pod: KubeObject): Behaviour {
  const own = Object.entries(pod.metadata.annotations ?? {}).filter(([key]) => key.startsWith(PREFIX));
  const given = new Map(own.map(([key, value]) => [key.slice(PREFIX.length), value]));
  const unknown = [...given.keys()].find((key) => !KNOWN.has(key));
  if (unknown !== undefined) throw new Error(`${PREFIX}${unknown} is no annotation of the kubelet stand-in`);
  const text = (key: string) => given.get(key) ?? null;
  const number = (key: string) => {
    const value = given.get(key);
    if (value === undefined) return null;
    if (!/^\d+$/.test(value)) throw new Error(`${PREFIX}${key} is "${value}", not a whole number`);
    return Number(value);
  };
  const oneOf = <T extends string>(key: string, ...values: T[]): T | null => {
    const value = given.get(key);
    if (value === undefined) return null;
    const found = values.find((each) => each === value);
    if (found === undefined) throw new Error(`${PREFIX}${key} is "${value}", not one of ${values.join(', ')}`);
    return found;
  };
  return {
    sandboxMs: number('sandbox-ms') ?? 0,
    pullMs: number('pull-ms') ?? 0,
    createMs: number('create-ms') ?? 0,
    terminateMs: number('terminate-ms') ?? 0,
    pullError: text('pull-error'),
    hang: oneOf('hang', 'creating', 'pulling'),
    mountError: text('mount-error'),
    admissionError: text('admission-error'),
    crashAfterMs: number('crash-after-ms'),
    crashExitCode: number('crash-exit-code') ?? (text('crash-reason') === 'OOMKilled' ? 137 : 1),
    crashReason: oneOf('crash-reason', 'Error', 'OOMKilled') ?? 'Error',
    crashTimes: number('crash-times') ?? Number.POSITIVE_INFINITY,
    backoffMs: number('backoff-ms'),
    pullBackoffMs: number('pull-backoff-ms'),
    probeMs: number('probe-ms'),
    readiness: oneOf('readiness', 'probed', 'failing') ?? 'probed',
    podIp: text('pod-ip'),
    disruptionTarget: text('disruption-target'),
  };
}

const KNOWN: ReadonlySet<string> = new Set([
  'sandbox-ms',
  'pull-ms',
  'create-ms',
  'terminate-ms',
  'pull-error',
  'hang',
  'mount-error',
  'admission-error',
  'crash-after-ms',
  'crash-exit-code',
  'crash-reason',
  'crash-times',
  'backoff-ms',
  'pull-backoff-ms',
  'probe-ms',
  'readiness',
  'pod-ip',
  'disruption-target',
]);
