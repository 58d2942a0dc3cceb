/** A pool that is one local model server of the benches. */
export interface BenchPool {
  /** Pool, policy and model name. */
  readonly name: string;
  readonly slots: number;
  /** 0 = asleep until the first request; 1 = up from the start. */
  readonly minReplicas: 0 | 1;
  readonly command: readonly string[];
}

const CONFIGURATION = `apiVersion: pilotlight.dev/v1alpha1
kind: Configuration
spec:
  log: {level: warn}`;

/** Everything `pilotlight serve` needs to know. */
export function objectsYaml(pools: readonly BenchPool[]): string {
  return [CONFIGURATION, ...pools.map(poolDocument)].join('\n---\n');
}

function poolDocument({ name, slots, minReplicas, command }: BenchPool): string {
  return `apiVersion: pilotlight.dev/v1alpha1
kind: ScalePolicy
metadata: {name: ${name}}
spec:
  pool: {selector: {matchLabels: {app: ${name}}}, targetPorts: [{number: 8000}]}
  models: [{name: ${name}}]
  targets:
    - name: local
      process:
        command: ${JSON.stringify(command)}
        readiness: {path: /health, every: 100ms}
      minReplicas: ${minReplicas}
      maxReplicas: 1
      slotsPerEndpoint: ${slots}
  keepWarm: {duration: 500ms}
  drain: {after: 500ms, timeout: 5s}
  boot: {expectedDuration: 1s, timeout: 30s}`;
}
