/** `npm run cluster [-- --nodes N --gpus N]`: the control plane of the tests, to play with. */
import { fileURLToPath } from 'node:url';
import { runNode } from '../bin/node-runtime.mjs';
import { prepare } from './setup.mjs';

const program = fileURLToPath(new URL('../tests/cluster/support/dev-cluster.ts', import.meta.url));
process.exit(await runNode(prepare(), [program, ...process.argv.slice(2)]));
