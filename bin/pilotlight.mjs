#!/usr/bin/env node
/** The `pilotlight` command: src/main.ts in a checkout, dist/main.js in an installed package. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { findNode, isNewEnough, MINIMUM_NODE, runNode } from './node-runtime.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const inCheckout = existsSync(join(root, 'src', 'main.ts'));
const main = inCheckout ? join(root, 'src', 'main.ts') : join(root, 'dist', 'main.js');

function refuse(sentence) {
  process.stderr.write(`pilotlight: ${sentence}\n`);
  process.exit(1);
}

if (inCheckout && !existsSync(join(root, 'node_modules'))) {
  refuse(`its dependencies are missing; run "npm install" in ${root} first.`);
} else if (isNewEnough(process.version)) {
  await import(pathToFileURL(main).href);
} else {
  const node = findNode(root);
  if (!node)
    refuse(`Node ${MINIMUM_NODE} or newer is needed, this is ${process.version}; install a newer Node and try again.`);
  process.exit(await runNode(node, [main, ...process.argv.slice(2)]));
}
