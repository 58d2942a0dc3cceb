import { MODEL } from '../../src/simulate/demo/names.ts';

export interface PoolYaml {
  /** Arguments of the simulator, on top of a fast boot. */
  readonly sim?: readonly string[];
  /** Instead of the simulator. */
  readonly command?: readonly string[];
  readonly maxReplicas?: number;
  readonly slots?: number;
  readonly keepWarm?: string;
  /** How long running calls may finish after SIGTERM. */
  readonly drain?: string;
  /** More sections of the Configuration. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

const FAST_BOOT = ['--boot-start=100ms', '--boot-load=200ms', '--shutdown-timeout=20s'];

/** One pool "chat" of local simulators, with objectives interactive (100, default) and nightly (-10, wakes at once). */
export function poolYaml(options: PoolYaml = {}): string {
  const { sim = [], maxReplicas = 2, slots = 8, keepWarm = '1s', drain = '20s' } = options;
  const simulator = [
    'pilotlight',
    'model-sim',
    '--host={host}',
    '--port={port}',
    `--model=${MODEL}`,
    ...FAST_BOOT,
    ...sim,
  ];
  const command = options.command ?? simulator;
  return `
apiVersion: pilotlight.dev/v1alpha1
kind: Configuration
spec:
  auth: {anonymous: {trusted: true, defaultObjective: interactive}}
  timeouts: {drain: ${drain}}
${sections(options.settings)}---
apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: chat}
spec: {selector: {matchLabels: {app: chat}}, targetPorts: [{number: 8000}]}
---
apiVersion: llm-d.ai/v1alpha2
kind: InferenceObjective
metadata: {name: interactive}
spec: {priority: 100, poolRef: {name: chat}}
---
apiVersion: llm-d.ai/v1alpha2
kind: InferenceObjective
metadata: {name: nightly}
spec: {priority: -10, poolRef: {name: chat}}
---
apiVersion: pilotlight.dev/v1alpha1
kind: ScalePolicy
metadata: {name: chat}
spec:
  poolRef: {name: chat}
  models: [{name: ${MODEL}, aliases: [sim]}]
  targets:
    - name: local
      process:
        command: ${JSON.stringify(command)}
        readiness: {path: /health, every: 100ms}
      maxReplicas: ${maxReplicas}
      slotsPerEndpoint: ${slots}
  activation: {expectedRequestDuration: 1s}
  keepWarm: {duration: ${keepWarm}}
  boot: {expectedDuration: 1s, timeout: 30s}
`;
}

/** JSON is YAML too. */
function sections(settings: PoolYaml['settings'] = {}): string {
  return Object.entries(settings)
    .map(([name, value]) => `  ${name}: ${JSON.stringify(value)}\n`)
    .join('');
}
