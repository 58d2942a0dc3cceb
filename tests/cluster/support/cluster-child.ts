/** A process of its own that starts a control plane, tells its process ids and stays: for tests that kill it. */
import { startCluster } from './cluster.ts';
import { findClusterTools } from './tools/cluster-tools.ts';

const found = await findClusterTools({ fetch: false });
if (found.kind === 'missing') throw new Error(found.why);
const { pids } = await startCluster({ tools: found.tools });
process.send?.(pids);
