/** Part of `npm run build`: tsc leaves out what is not TypeScript, so the Lua and shell files follow it into dist. */
import { cpSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './setup.mjs';

const isAsset = (path) => statSync(path).isDirectory() || /\.(lua|sh)$/.test(path);

cpSync(join(root, 'src'), join(root, 'dist'), { recursive: true, filter: isAsset });
