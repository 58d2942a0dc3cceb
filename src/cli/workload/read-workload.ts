import type { KubeObject } from '../../core/kubernetes.ts';
import { parseDuration } from '../../core/units.ts';

/** The fields of a Deployment or StatefulSet that `init` and `doctor` read. Every one may be absent. */
export interface WorkloadObject extends KubeObject {
  readonly spec?: {
    readonly replicas?: number;
    readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> };
    readonly strategy?: { readonly type?: string; readonly rollingUpdate?: RollingUpdate };
    readonly updateStrategy?: { readonly type?: string; readonly rollingUpdate?: RollingUpdate };
    readonly progressDeadlineSeconds?: number;
    readonly podManagementPolicy?: string;
    readonly template?: {
      readonly metadata?: {
        readonly labels?: Readonly<Record<string, string>>;
        readonly annotations?: Readonly<Record<string, string>>;
      };
      readonly spec?: {
        readonly terminationGracePeriodSeconds?: number;
        readonly containers?: readonly ContainerSpec[];
      };
    };
  };
}

export interface RollingUpdate {
  readonly maxSurge?: number | string;
  readonly maxUnavailable?: number | string;
}

export interface ContainerSpec {
  readonly name?: string;
  readonly image?: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly ports?: readonly { readonly name?: string; readonly containerPort?: number }[];
  readonly resources?: { readonly limits?: Resources; readonly requests?: Resources };
  readonly startupProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly lifecycle?: {
    readonly preStop?: {
      readonly sleep?: { readonly seconds?: number };
      readonly exec?: { readonly command?: readonly string[] };
    };
  };
}

type Resources = Readonly<Record<string, string | number>>;

export interface Probe {
  readonly initialDelaySeconds?: number;
  readonly periodSeconds?: number;
  readonly failureThreshold?: number;
  readonly httpGet?: { readonly path?: string; readonly port?: number | string };
}

/** What a workload says about its model server. */
export interface WorkloadView {
  readonly kind: string;
  readonly name: string;
  readonly namespace: string;
  /** 1 when it says nothing. */
  readonly replicas: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly matchLabels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** The container with a GPU, else the first. */
  readonly engine: ContainerSpec;
  readonly gpus: number;
  readonly ports: readonly number[];
  /** Port it serves on: --port, then a port called http, then the first. Null = it does not say. */
  readonly port: number | null;
  /** Names callers may use: --served-model-name, else --model, an argument of `vllm serve`, or MODEL_NAME/MODEL_ID. */
  readonly models: readonly string[];
  readonly isVllm: boolean;
  readonly maxNumSeqs: number | null;
  readonly graceSeconds: number;
  /** 0 = no preStop; null = one whose length is not known. */
  readonly preStopSeconds: number | null;
  /** Seconds; null = the flag is not there. */
  readonly shutdownTimeoutSeconds: number | null;
  readonly startupProbe: Probe | null;
  readonly readinessProbe: Probe | null;
  /** Until it counts as failed; null = no startup probe. */
  readonly startupBudgetSeconds: number | null;
  readonly rollingUpdate: RollingUpdate | null;
  readonly strategy: string;
  /** Null = of a kind that has none. */
  readonly progressDeadlineSeconds: number | null;
}

const DEFAULT_GRACE_S = 30;
const DEFAULT_PROGRESS_DEADLINE_S = 600;
const GPU = /^nvidia\.com\/mig-|(^|[./-])(gpu|gaudi|tpu|neuron|xpu)s?([./-]|$)/i;

export function readWorkload(kind: string, workload: WorkloadObject): WorkloadView {
  const { spec = {}, metadata } = workload;
  const pod = spec.template?.spec ?? {};
  const containers = pod.containers ?? [];
  const engine = containers.find((container) => gpusOf(container) > 0) ?? containers[0] ?? {};
  const words = wordsOf(engine);
  const startupProbe = engine.startupProbe ?? null;
  return {
    kind,
    name: metadata.name,
    namespace: metadata.namespace ?? 'default',
    replicas: spec.replicas ?? 1,
    labels: spec.template?.metadata?.labels ?? {},
    matchLabels: spec.selector?.matchLabels ?? {},
    annotations: spec.template?.metadata?.annotations ?? {},
    engine,
    gpus: gpusOf(engine),
    ports: (engine.ports ?? []).flatMap(({ containerPort }) => containerPort ?? []),
    port: portOf(engine, words),
    models: modelsOf(engine, words),
    isVllm: /vllm/i.test(engine.image ?? '') || words.some((word) => /(^|\/)vllm(\.|$)/.test(word)),
    maxNumSeqs: wholeNumber(flagValue(words, '--max-num-seqs')),
    graceSeconds: pod.terminationGracePeriodSeconds ?? DEFAULT_GRACE_S,
    preStopSeconds: preStopSeconds(engine),
    shutdownTimeoutSeconds: seconds(flagValue(words, '--shutdown-timeout')),
    startupProbe,
    readinessProbe: engine.readinessProbe ?? null,
    startupBudgetSeconds: startupProbe && budgetSeconds(startupProbe),
    rollingUpdate: spec.strategy?.rollingUpdate ?? spec.updateStrategy?.rollingUpdate ?? null,
    strategy: spec.strategy?.type ?? spec.updateStrategy?.type ?? 'RollingUpdate',
    progressDeadlineSeconds:
      kind === 'Deployment' ? (spec.progressDeadlineSeconds ?? DEFAULT_PROGRESS_DEADLINE_S) : null,
  };
}

/** initialDelay + period × failureThreshold, with the defaults of Kubernetes. */
export function budgetSeconds({ initialDelaySeconds = 0, periodSeconds = 10, failureThreshold = 3 }: Probe): number {
  return initialDelaySeconds + periodSeconds * failureThreshold;
}

function gpusOf({ resources }: ContainerSpec): number {
  const all = { ...resources?.requests, ...resources?.limits };
  const counts = Object.entries(all).flatMap(([name, count]) => (GPU.test(name) ? [Number(count)] : []));
  return counts.reduce((sum, count) => sum + (Number.isFinite(count) ? count : 0), 0);
}

/** Words of command and arguments; those of a shell's script are told apart by spaces. */
function wordsOf({ command = [], args = [] }: ContainerSpec): readonly string[] {
  return [...command, ...args]
    .flatMap((part) => (/\s/.test(part) ? part.split(/[\s\\]+/) : [part]))
    .filter((word) => word !== '');
}

/** Of "--flag value" or "--flag=value"; the last counts. */
function flagValue(words: readonly string[], flag: string): string | undefined {
  const at = words.findLastIndex((word) => word === flag || word.startsWith(`${flag}=`));
  const word = words[at];
  return word === undefined ? undefined : word === flag ? words[at + 1] : word.slice(flag.length + 1);
}

function portOf({ ports = [] }: ContainerSpec, words: readonly string[]): number | null {
  const told = wholeNumber(flagValue(words, '--port'));
  const named = ports.find(({ name }) => name === 'http') ?? ports[0];
  return told ?? named?.containerPort ?? null;
}

function modelsOf({ env = [] }: ContainerSpec, words: readonly string[]): readonly string[] {
  const at = words.findLastIndex((word) => word === '--served-model-name' || word.startsWith('--served-model-name='));
  const first = words[at];
  if (first !== undefined) {
    const rest = words.slice(at + 1);
    const end = rest.findIndex((word) => word.startsWith('-'));
    const following = rest.slice(0, end === -1 ? undefined : end);
    const names = first.includes('=') ? [first.slice(first.indexOf('=') + 1), ...following] : following;
    return names.filter((name) => name !== '');
  }
  const serve = words.indexOf('serve');
  const positional = serve === -1 ? undefined : words[serve + 1];
  const variable = env.find(({ name }) => name === 'MODEL_NAME' || name === 'MODEL_ID' || name === 'SERVED_MODEL_NAME');
  const model =
    flagValue(words, '--model') ?? (positional?.startsWith('-') ? undefined : positional) ?? variable?.value;
  return model === undefined || model === '' ? [] : [model];
}

function preStopSeconds({ lifecycle }: ContainerSpec): number | null {
  const { preStop } = lifecycle ?? {};
  if (preStop === undefined) return 0;
  if (preStop.sleep?.seconds !== undefined) return preStop.sleep.seconds;
  const slept = /\bsleep\s+(\d+)\b/.exec(preStop.exec?.command?.join(' ') ?? '');
  return slept ? Number(slept[1]) : null;
}

/** Of vLLM: seconds; of the simulator: with a unit. */
function seconds(text: string | undefined): number | null {
  const plain = wholeNumber(text);
  if (plain !== null || text === undefined) return plain;
  const parsed = parseDuration(text);
  return parsed.ok ? parsed.value / 1_000 : null;
}

function wholeNumber(text: string | undefined): number | null {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : null;
}
