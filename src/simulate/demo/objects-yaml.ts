import type { DemoTuning } from '../demo-options.ts';
import { MODEL, OBJECTIVES, POOL, RUN_VARIABLE, TENANTS } from './names.ts';

/** USD per GPU and hour, for the money in the summary: about what a cloud asks for one A100 on demand. */
const PRICE_PER_GPU_HOUR = '2.50';

export interface DemoObjects {
  /** Of this run: names its keys in Redis and marks its processes. */
  readonly runId: string;
  readonly dataDir: string;
  readonly tuning: DemoTuning;
  /** "sha256:…" of the API key of each tenant. */
  readonly chatsKeyHash: string;
  readonly rowsKeyHash: string;
}

/** The prefix of every key that the run writes; at most 32 characters are allowed. */
export function keyPrefix(runId: string): string {
  return `pl-${runId}`;
}

/** Settings and objects of one run as a file for `pilotlight serve -f`, made to be read. */
export function objectsYaml({ runId, dataDir, tuning, chatsKeyHash, rowsKeyHash }: DemoObjects): string {
  const { interactive, nightly } = OBJECTIVES;
  return `# What this run of \`pilotlight demo\` was started with. examples/local.yaml explains the same objects.
apiVersion: pilotlight.dev/v1alpha1
kind: Configuration
spec:
  installation: demo
  # Any free ports.
  server: {host: 127.0.0.1, port: 0}
  admin: {host: 127.0.0.1, port: 0}
  data: {dir: ${quoted(dataDir)}}
  redis: {keyPrefix: ${keyPrefix(runId)}}
  timeouts: {drain: 3s}
  auth:
    # For trying things by hand: calls without a key are interactive.
    anonymous:
      trusted: true
      defaultObjective: ${interactive.name}
      serviceTiers: {flex: ${nightly.name}}
  tenants:
    - name: ${TENANTS.chats}
      keys: [${quoted(chatsKeyHash)}]
      defaultObjective: ${interactive.name}
      allowedObjectives: [${interactive.name}]
    - name: ${TENANTS.rows}
      keys: [${quoted(rowsKeyHash)}]
      defaultObjective: ${nightly.name}
      allowedObjectives: [${nightly.name}]
---
apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: ${POOL}}
spec:
  selector:
    matchLabels: {app: ${POOL}}
  targetPorts:
    - number: 8000
---
apiVersion: llm-d.ai/v1alpha2
kind: InferenceObjective
metadata: {name: ${interactive.name}}
spec: {priority: ${interactive.priority}, poolRef: {name: ${POOL}}}
---
apiVersion: llm-d.ai/v1alpha2
kind: InferenceObjective
metadata: {name: ${nightly.name}}
spec: {priority: ${nightly.priority}, poolRef: {name: ${POOL}}}
---
apiVersion: pilotlight.dev/v1alpha1
kind: ObjectivePolicy
metadata: {name: ${interactive.name}}
spec:
  targetRefs: [{name: ${interactive.name}}]
  activation: Immediate
---
apiVersion: pilotlight.dev/v1alpha1
kind: ObjectivePolicy
metadata: {name: ${nightly.name}}
spec:
  targetRefs: [{name: ${nightly.name}}]
  activation: Batched
  # A real night would allow hours, and one replica would do.
  maxWait: 10s
  mayExtendKeepWarm: false
---
${scalePolicyYaml(runId, tuning)}`;
}

function scalePolicyYaml(runId: string, tuning: DemoTuning): string {
  const { maxReplicas, slotsPerEndpoint, speed, bootStartMs, bootLoadMs, keepWarmMs } = tuning;
  const bootMs = bootStartMs + bootLoadMs;
  return `apiVersion: pilotlight.dev/v1alpha1
kind: ScalePolicy
metadata: {name: ${POOL}}
spec:
  poolRef: {name: ${POOL}}
  models:
    - name: ${MODEL}
  targets:
    - name: local
      # A simulator stands in for vLLM: its API, its metrics, its batching and its cold start, without a model.
      process:
        command:
          - pilotlight
          - model-sim
          - --host={host}
          - --port={port}
          - --model=${MODEL}
          - --speed=${speed}
          # Both are divided by the speed.
          - --boot-start=${Math.round(bootStartMs * speed)}ms
          - --boot-load=${Math.round(bootLoadMs * speed)}ms
          - --max-num-seqs=${slotsPerEndpoint}
          - --shutdown-timeout=10s
        env:
          - {name: ${RUN_VARIABLE}, value: ${quoted(runId)}}
        readiness: {path: /health, every: 250ms}
      minReplicas: 0
      maxReplicas: ${maxReplicas}
      slotsPerEndpoint: ${slotsPerEndpoint}
      pricePerGpuHour: ${quoted(PRICE_PER_GPU_HOUR)}
  mode: Native
  activation: {minEfficiencyPercent: 50, expectedRequestDuration: 3s}
  keepWarm: {duration: ${Math.round(keepWarmMs)}ms}
  drain: {after: 3s, timeout: 20s}
  boot: {expectedDuration: ${Math.max(1, Math.round(bootMs))}ms, timeout: 1m}
`;
}

/** A JSON string is a YAML string. */
function quoted(text: string): string {
  return JSON.stringify(text);
}
