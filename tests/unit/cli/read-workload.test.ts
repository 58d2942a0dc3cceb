import { describe, expect, test } from 'vitest';
import { type ContainerSpec, readWorkload } from '../../../src/cli/workload/read-workload.ts';
import { workload } from './doctor/builders.ts';

const view = (container: Partial<ContainerSpec>) => workload({ container });

describe('the names that callers use', () => {
  test.each<{ name: string; container: Partial<ContainerSpec>; want: readonly string[] }>([
    { name: '--served-model-name=x', container: { args: ['--model=/m', '--served-model-name=x'] }, want: ['x'] },
    {
      name: 'several, up to the next flag',
      container: { args: ['--served-model-name', 'a', 'b', '--port', '1'] },
      want: ['a', 'b'],
    },
    { name: '--model', container: { args: ['--model', 'Qwen/Qwen3'] }, want: ['Qwen/Qwen3'] },
    {
      name: 'vllm serve NAME',
      container: { command: ['vllm', 'serve', 'meta/llama'], args: [] },
      want: ['meta/llama'],
    },
    {
      name: 'vllm serve with flags only',
      container: { command: ['vllm', 'serve', '--port', '1'], args: [] },
      want: [],
    },
    {
      name: 'a script for a shell',
      container: { command: ['sh', '-c', 'exec vllm serve \\\n  --model m1 --port 9'], args: [] },
      want: ['m1'],
    },
    { name: 'the environment', container: { args: [], env: [{ name: 'MODEL_ID', value: 'e' }] }, want: ['e'] },
    { name: 'none', container: { args: [] }, want: [] },
  ])('$name', ({ container, want }) => {
    expect(view(container).models).toEqual(want);
  });
});

test.each<{ name: string; container: Partial<ContainerSpec>; want: object }>([
  { name: 'the port of the flag', container: { args: ['--port=9001'] }, want: { port: 9001 } },
  {
    name: 'the port called http',
    container: { args: [], ports: [{ containerPort: 1 }, { name: 'http', containerPort: 2 }] },
    want: { port: 2 },
  },
  { name: 'no port', container: { args: [], ports: [] }, want: { port: null } },
  {
    name: 'GPUs of any vendor',
    container: { resources: { limits: { 'amd.com/gpu': 2, memory: '1Gi' } } },
    want: { gpus: 2 },
  },
  { name: 'a slice of a GPU', container: { resources: { limits: { 'nvidia.com/mig-1g.5gb': 1 } } }, want: { gpus: 1 } },
  {
    name: 'a preStop that sleeps in a shell',
    container: { lifecycle: { preStop: { exec: { command: ['sh', '-c', 'sleep 20'] } } } },
    want: { preStopSeconds: 20 },
  },
  { name: 'no preStop', container: { lifecycle: {} }, want: { preStopSeconds: 0 } },
  {
    name: 'a time-out with a unit',
    container: { args: ['--shutdown-timeout=2m'] },
    want: { shutdownTimeoutSeconds: 120 },
  },
  {
    name: 'a probe with defaults',
    container: { startupProbe: { initialDelaySeconds: 5 } },
    want: { startupBudgetSeconds: 35 },
  },
])('it reads $name', ({ container, want }) => {
  expect(view(container)).toMatchObject(want);
});

test('the engine is the container with the GPU, not the first', () => {
  const containers = [{ name: 'proxy' }, { name: 'engine', resources: { limits: { 'nvidia.com/gpu': 4 } } }];
  expect(workload({ pod: { containers } })).toMatchObject({ engine: { name: 'engine' }, gpus: 4 });
});

test('a workload that says nothing has the defaults of Kubernetes', () => {
  const empty = { metadata: { name: 'x' } };
  const want = { replicas: 1, graceSeconds: 30, progressDeadlineSeconds: 600, port: null, gpus: 0, preStopSeconds: 0 };
  expect(readWorkload('Deployment', empty)).toMatchObject(want);
  expect(readWorkload('StatefulSet', empty)).toMatchObject({ progressDeadlineSeconds: null });
});
