/** The program of `npm run cluster`: a control plane with GPU nodes that lasts until Ctrl-C. */
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Cluster, startCluster } from './cluster.ts';
import { startKubelet } from './kubelet/kubelet.ts';
import { addNode } from './nodes.ts';
import { findClusterTools } from './tools/cluster-tools.ts';

const CRDS = fileURLToPath(new URL('../../../infra/crds/', import.meta.url));
const USAGE = 'npm run cluster -- [--nodes NUMBER] [--gpus NUMBER-PER-NODE]';
const MAX_NODES = 100;

const { nodes, gpus } = readOptions();
const found = await findClusterTools();
if (found.kind === 'missing')
  refuse(`no control plane can be had: ${found.why}. docs/test-cluster.md says what is needed.`);
const ended = new Promise<void>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve());
});
const cluster = await startCluster({ tools: found.tools });
try {
  await fill(cluster);
  say(cluster);
  await ended;
  process.stdout.write('Stopping.\n');
} finally {
  await cluster.close();
}
process.exit(0);

async function fill(cluster: Cluster): Promise<void> {
  const files = existsSync(CRDS) ? (await readdir(CRDS)).filter((name) => /\.ya?ml$/.test(name)) : [];
  for (const file of files) await cluster.apply(await readFile(join(CRDS, file), 'utf8'));
  const kubelet = await startKubelet(cluster, { namespace: null });
  cluster.onClose(() => kubelet.stop());
  for (let node = 0; node < nodes; node += 1) await addNode(cluster, { name: `gpu-${node}`, gpus });
}

function say({ kubeconfig, handle }: Cluster): void {
  process.stdout.write(`
Kubernetes runs at ${handle.url} with ${nodes} nodes of ${gpus} GPUs. Pods are local processes on addresses 127.1.x.y.

  export KUBECONFIG=${kubeconfig}
  kubectl get nodes -o custom-columns=NAME:.metadata.name,GPUS:.status.capacity.nvidia\\\\.com/gpu
  kubectl create deployment llama --image pilotlight-model-sim:test -- pilotlight model-sim --host 0.0.0.0
  kubectl get pods -o wide -w

Images there are: pilotlight:test and pilotlight-model-sim:test, both this checkout. Logs: ${handle.folder}/logs
Ctrl-C stops everything and forgets it.
`);
}

function readOptions(): { nodes: number; gpus: number } {
  try {
    const { values } = parseArgs({
      options: { nodes: { type: 'string', default: '2' }, gpus: { type: 'string', default: '4' } },
    });
    return { nodes: count('nodes', values.nodes), gpus: count('gpus', values.gpus) };
  } catch (error) {
    return refuse(`${error instanceof Error ? error.message : String(error)} Usage: ${USAGE}`);
  }
}

function count(name: string, text: string): number {
  if (/^\d+$/.test(text) && Number(text) <= MAX_NODES) return Number(text);
  throw new Error(`--${name} is "${text}"; it is a whole number up to ${MAX_NODES}.`);
}

function refuse(sentence: string): never {
  process.stderr.write(`pilotlight: ${sentence}\n`);
  process.exit(1);
}
