/**
 * What `npm start`, `npm test` and `npm run bench` need first: the locked dependencies and a Node that runs TypeScript.
 * Plain JavaScript with builtins only, on Node >= 20.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findNode, MINIMUM_NODE } from '../bin/node-runtime.mjs';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

const NPM_TIMEOUT_MS = 15 * 60_000;

/** Installs what is missing and returns the path of a Node that is new enough. Ends the process with one sentence if it cannot. */
export function prepare() {
  if (!lockedDependenciesAreInstalled()) {
    say('installing the dependencies; this takes about a minute the first time.');
    // Not `npm ci`: it refuses a lock file without the optional packages of other platforms, and not every registry has them.
    run('npm', ['install', '--no-save', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'], root);
    if (!lockedDependenciesAreInstalled()) {
      refuse('what npm installed differs from package-lock.json; delete node_modules and try again.');
    }
  }
  return findNode(root) ?? repairedNode();
}

export function say(sentence) {
  process.stderr.write(`pilotlight: ${sentence}\n`);
}

/** Says why and ends the process. */
export function refuse(sentence) {
  say(sentence);
  process.exit(1);
}

/**
 * npm writes node_modules/.package-lock.json as the last step of an install: it is the stamp. An interrupted install
 * leaves none, a changed package-lock.json no longer agrees with it.
 */
function lockedDependenciesAreInstalled() {
  const stamp = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(stamp)) return false;
  const installed = readPackages(stamp);
  const locked = readPackages(join(root, 'package-lock.json'));
  return Object.entries(locked).every(
    ([path, wanted]) => path === '' || wanted.optional || installed[path]?.version === wanted.version,
  );
}

function readPackages(lockFile) {
  try {
    return JSON.parse(readFileSync(lockFile, 'utf8')).packages ?? {};
  } catch {
    return {};
  }
}

/** npm may be told not to run install scripts; then the `node` package has no binary yet. Its installer can be run by hand. */
function repairedNode() {
  const folder = join(root, 'node_modules', 'node');
  if (existsSync(join(folder, 'installArchSpecificPackage.js'))) {
    say('npm did not run the install script of the "node" package; running it now.');
    run('node', ['installArchSpecificPackage.js'], folder);
  }
  return (
    findNode(root) ??
    refuse(`Node ${MINIMUM_NODE} or newer is needed, this is ${process.version}; install a newer Node and try again.`)
  );
}

function run(command, args, cwd) {
  // npm puts this checkout's own Node first on the PATH and `npm ci` deletes it, so it must not be the one that runs it.
  const path = (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => !folder.startsWith(join(root, 'node_modules')));
  const env = { ...process.env, PATH: path.join(delimiter) };
  const { status, error } = spawnSync(command, args, {
    cwd,
    env,
    stdio: ['ignore', 2, 'inherit'],
    timeout: NPM_TIMEOUT_MS,
  });
  if (error) refuse(`"${command} ${args.join(' ')}" could not be run: ${error.message}.`);
  if (status !== 0)
    refuse(`"${command} ${args.join(' ')}" failed; its messages are above. Check the network and try again.`);
}
