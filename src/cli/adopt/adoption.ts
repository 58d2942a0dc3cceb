import { stringify } from 'yaml';
import type { Finding } from '../doctor/facts.ts';
import type { WorkloadView } from '../workload/read-workload.ts';

/** What `init` knows when it writes the objects that adopt a workload. */
export interface AdoptionFacts {
  readonly workload: WorkloadView;
  readonly apiVersion: string;
  /** By the person who asks; null = as the workload tells. */
  readonly models: readonly string[] | null;
  readonly maxReplicas: number | null;
  /** An InferencePool that selects its pods already; null = none. */
  readonly inferencePool: string | null;
  /** Group and version that the cluster serves InferenceObjective under; null = it does not. */
  readonly objectiveVersion: string | null;
  /** Name for the nightly objective that is free. */
  readonly nightly: string;
  /** Highest maxReplicas of an autoscaler on it; null = none. */
  readonly scaledTo: number | null;
  /** What `doctor` says of it. */
  readonly findings: readonly Finding[];
}

/** The YAML that lets Pilotlight have a workload, with comments that say what was read and what was assumed. */
export function adoptionYaml(facts: AdoptionFacts): string {
  const parts = [header(facts), policy(facts), objectives(facts)].filter((part) => part !== '');
  return `${parts.join('\n---\n')}\n`;
}

function header({ workload: { kind, name, namespace }, findings }: AdoptionFacts): string {
  const open = findings.filter(({ level }) => level === 'fail' || level === 'warn');
  return [
    `# Lets Pilotlight have ${kind} ${namespace}/${name}. Read it, then:`,
    '#',
    `#   kubectl -n ${namespace} apply -f FILE`,
    `#   pilotlight explain ${name} -n ${namespace}    what it would do`,
    `#   pilotlight doctor ${name} -n ${namespace}`,
    '#',
    `# The controller needs the right to scale it: in the values of the chart, under namespaces, name: ${namespace},`,
    `# workloads: [{ apiGroup: apps, resource: ${kind.toLowerCase()}s, name: ${name} }]`,
    ...(open.length === 0
      ? []
      : [
          '#',
          '# To change before mode: Native:',
          ...open.flatMap(({ found, change }) => bullet(`${found} → ${change ?? ''}`)),
        ]),
  ].join('\n');
}

const WIDTH = 116;

/** A comment that begins with a dash, broken at spaces. */
function bullet(text: string): readonly string[] {
  const lines: string[] = [];
  let line = '# -';
  for (const word of text.split(' ')) {
    if (line.length + word.length + 1 > WIDTH) {
      lines.push(line);
      line = '#  ';
    }
    line = `${line} ${word}`;
  }
  return [...lines, line];
}

function policy(facts: AdoptionFacts): string {
  const { workload, inferencePool } = facts;
  return [
    'apiVersion: pilotlight.dev/v1alpha1',
    'kind: ScalePolicy',
    'metadata:',
    `  name: ${workload.name}`,
    `  namespace: ${workload.namespace}`,
    'spec:',
    ...(inferencePool === null
      ? ownPool(workload)
      : [`  # It selects these pods already.`, `  poolRef: { name: ${inferencePool} }`]),
    ...models(facts),
    ...target(facts),
    '  # Observe decides and reports, and changes nothing. When `pilotlight explain` says what you want: Native.',
    '  mode: Observe',
    ...times(workload),
  ].join('\n');
}

function ownPool({ matchLabels, labels, port }: WorkloadView): readonly string[] {
  const isTold = Object.keys(matchLabels).length > 0;
  const wanted = isTold ? matchLabels : labels;
  return [
    '  # A pool of its own. Where an InferencePool has these pods: poolRef: { name: … } instead.',
    '  pool:',
    '    selector:',
    ...(isTold
      ? []
      : ['      # The workload selects by expressions; these are all labels of its pods: remove those that change.']),
    '      matchLabels:',
    ...Object.entries(wanted).map(([label, value]) => `        ${scalar(label)}: ${scalar(value)}`),
    '    targetPorts:',
    port === null ? '      - number: 8000 # assumed: the workload names no port' : `      - number: ${port}`,
  ];
}

function models({ workload, models: given }: AdoptionFacts): readonly string[] {
  const names = given ?? workload.models;
  if (names.length === 0) {
    return [
      '  models:',
      `    - name: ${scalar(workload.name)} # assumed: neither --model nor --served-model-name is set; callers use this name`,
    ];
  }
  const [first = workload.name, ...aliases] = names;
  const source = given === null ? ' # as the model server is told' : '';
  if (given !== null) return ['  models:', ...given.map((name) => `    - name: ${scalar(name)}`)];
  const also = aliases.length === 0 ? [] : [`      aliases: [${aliases.map(scalar).join(', ')}]`];
  return ['  # Names that callers use.', '  models:', `    - name: ${scalar(first)}${source}`, ...also];
}

function target(facts: AdoptionFacts): readonly string[] {
  const { workload, apiVersion, maxReplicas, scaledTo } = facts;
  const { kind, name, replicas, gpus, maxNumSeqs } = workload;
  const most = maxReplicas ?? Math.max(1, replicas, scaledTo ?? 0);
  const source = scaledTo !== null && most === scaledTo ? "its autoscaler's" : 'what it asks for now, at least 1';
  const why = maxReplicas === null ? ` # ${source}; set what your GPUs allow` : '';
  return [
    '  targets:',
    `    - name: ${gpus > 0 ? 'gpu' : 'main'}`,
    `      scaleTargetRef: { apiVersion: ${apiVersion}, kind: ${kind}, name: ${scalar(name)} }`,
    '      minReplicas: 0',
    `      maxReplicas: ${most}${why}`,
    ...(maxNumSeqs === null
      ? ['      slotsPerEndpoint: Auto # learned from the engine; --max-num-seqs + 1 where you know it']
      : [
          `      slotsPerEndpoint: ${maxNumSeqs + 1} # --max-num-seqs and one more, so that the engine always has one at hand`,
        ]),
    `      gpusPerReplica: ${gpus}${gpus === 0 ? ' # it asks for none' : ''}`,
    '      # pricePerGpuHour: "2.50" # USD; for the money in `pilotlight status`',
  ];
}

function times({ startupBudgetSeconds, shutdownTimeoutSeconds }: WorkloadView): readonly string[] {
  return [
    '  boot:',
    '    expectedDuration: 5m # assumed until one was measured',
    startupBudgetSeconds === null
      ? '    timeout: 30m # assumed: there is no startup probe'
      : `    timeout: ${startupBudgetSeconds}s # as long as its startup probe waits`,
    '  drain:',
    shutdownTimeoutSeconds === null
      ? '    timeout: 15m # assumed: running answers of a replica that leaves may take so long'
      : `    timeout: ${shutdownTimeoutSeconds}s # as --shutdown-timeout`,
  ];
}

function objectives({ workload, inferencePool, objectiveVersion, nightly }: AdoptionFacts): string {
  const { name, namespace } = workload;
  const about =
    '# Work that may wait, for jobs and for calls that name it: it wakes the pool when a boot is worth it, or at maxWait.';
  if (objectiveVersion === null) {
    return [
      '# The cluster has no InferenceObjective: all calls are of the objective "default" (priority 0, one request wakes the',
      '# pool). With the CRD of llm-d.ai/v1alpha2 an objective and its ObjectivePolicy say what may wait: docs/objects.md.',
    ].join('\n');
  }
  const [group = ''] = objectiveVersion.split('/');
  const objective = [
    about,
    `apiVersion: ${objectiveVersion}`,
    'kind: InferenceObjective',
    'metadata:',
    `  name: ${nightly}`,
    `  namespace: ${namespace}`,
    'spec:',
    '  priority: -10',
    `  poolRef: { name: ${inferencePool ?? name} }`,
  ];
  const rules = [
    'apiVersion: pilotlight.dev/v1alpha1',
    'kind: ObjectivePolicy',
    'metadata:',
    `  name: ${nightly}`,
    `  namespace: ${namespace}`,
    'spec:',
    `  targetRefs: [{ group: ${group}, name: ${nightly} }]`,
    '  activation: Batched',
    '  maxWait: 2h',
    '  defaultDeadline: 12h',
    '  mayExtendKeepWarm: false',
  ];
  return `${objective.join('\n')}\n---\n${rules.join('\n')}`;
}

/** As YAML, quoted where it has to be. */
function scalar(text: string): string {
  return stringify(text, { lineWidth: 0 }).trim();
}
