/** `npm run bench -- <name> [args]`: sets everything up and runs bench/<name>.ts; without a name it lists them. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { runNode } from '../bin/node-runtime.mjs';
import { prepare, refuse, root } from './setup.mjs';

const folder = join(root, 'bench');
const [name, ...args] = process.argv.slice(2);
const names = readdirSync(folder)
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.slice(0, -'.ts'.length));

if (!name) {
  process.stdout.write(
    `Benches, run one with "npm run bench -- <name>":\n${names.map((each) => `  ${each}\n`).join('')}`,
  );
} else if (!existsSync(join(folder, `${name}.ts`))) {
  refuse(`there is no bench "${name}"; there are: ${names.join(', ')}.`);
} else {
  process.exit(await runNode(prepare(), [join(folder, `${name}.ts`), ...args]));
}
