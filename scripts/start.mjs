/** `npm start`: sets everything up and runs the demo. Arguments after `--` go to it. */
import { join } from 'node:path';
import { runNode } from '../bin/node-runtime.mjs';
import { prepare, root } from './setup.mjs';

const node = prepare();
process.exit(await runNode(node, [join(root, 'src', 'main.ts'), 'demo', ...process.argv.slice(2)]));
